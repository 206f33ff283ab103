"""One run: fresh pods, one picker, one real Envoy between them, and the client. The edge that puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import yaml
from rich.console import Console

from bench.compare.pickers import PickerSpec, endpoints_file_text
from bench.compare.processes import ContestError, Started, free_ports, pods, started
from bench.compare.usage import usage_of
from bench.http.interrupts import Interrupts
from bench.http.player import Target
from bench.http.playing import Plan, Played, play
from bench.http.results import Labels
from epp.envoy import EnvoyError, EnvoyProcess, EnvoySettings, Observation, as_yaml, build_bootstrap
from epp.workloads.types import Workload

__all__ = ["Contest", "compete"]

READY_S = 60.0
"""From the picker's start to the first reply through Envoy."""

_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Contest:
    """What all pickers get."""

    workload: Workload
    seed: int = 1
    clients: int | None = None
    """Of a closed loop; None: open loop."""
    pods: int = 4
    pod_options: Sequence[str] = ()
    """More flags of `epp sim-server`."""
    model: str = "sim-model"
    observation: Observation = Observation.FULL
    """What the picker sees of replies."""
    timeout_s: float = 600.0


async def compete(contest: Contest, spec: PickerSpec, console: Console, interrupts: Interrupts | None = None) -> Played:
    """Runs the workload behind one picker, which pays for everything from its readiness to the last reply.

    An interrupt while calls run ends the run early; before and after, it is whoever calls that decides.

    Raises ContestError, with what the part said that failed.
    """
    with TemporaryDirectory(prefix="epp-compare-") as name:
        folder = Path(name)
        async with pods(contest.pods, contest.pod_options, folder / "pods.log") as addresses:
            values = _values(folder, spec, addresses)
            async with (
                started(spec.name, spec.arguments(values), folder / "picker.log") as picker,
                _gateway(contest, int(values["port"])) as url,
            ):
                await _wait_serving(url, picker)
                plan = await _plan(contest, spec, addresses, values)
                target = Target(url, contest.model, timeout_s=contest.timeout_s, run_id=f"compare-{picker.pid}")
                return await _measured(picker, partial(play, plan, target, console, interrupts))


async def _plan(contest: Contest, spec: PickerSpec, addresses: tuple[str, ...], values: Mapping[str, str]) -> Plan:
    decisions = f"http://127.0.0.1:{values['metrics_port']}/debug/decisions"
    told = decisions if await _answers(decisions) else ""
    return Plan(contest.workload, Labels(spec.name, seed=contest.seed), contest.clients, addresses, told)


async def _measured(picker: Started, playing: Callable[[], Awaitable[Played]]) -> Played:
    """Plays, and adds what the picker used meanwhile to the run's counters."""
    before = usage_of(picker.pid)
    played = await playing()
    picker.check()
    after = usage_of(picker.pid)
    used_s = after.cpu_s - before.cpu_s
    costs = {
        "picker_cpu_s": used_s,
        "picker_cpu_per_call_s": used_s / max(len(played.records), 1),
        "picker_rss_bytes": float(after.peak_rss_bytes),
    }
    return replace(played, run=replace(played.run, counters={**played.run.counters, **costs}))


def _values(folder: Path, spec: PickerSpec, addresses: Sequence[str]) -> dict[str, str]:
    """What placeholders stand for; the files are written."""
    port, health_port, metrics_port = free_ports(3)
    endpoints_file, config = folder / "endpoints.yaml", folder / "config.yaml"
    values = {
        "config": str(config),
        "endpoints_file": str(endpoints_file),
        "port": str(port),
        "health_port": str(health_port),
        "metrics_port": str(metrics_port),
    }
    endpoints_file.write_text(endpoints_file_text(addresses))
    config.write_text(spec.config_text(values))
    return values


@asynccontextmanager
async def _gateway(contest: Contest, picker_port: int) -> AsyncIterator[str]:
    """A real Envoy that asks the picker: its URL."""
    settings = EnvoySettings(
        observation=contest.observation, listener_port=0, admin_port=0, picker_port=picker_port, picker_tls=None
    )
    try:
        async with EnvoyProcess(_keeping_request_ids(as_yaml(build_bootstrap(settings)))) as envoy:
            yield f"http://{envoy.listener_address}"
    except EnvoyError as error:
        raise ContestError(str(error)) from None


def _keeping_request_ids(config: str) -> str:
    """The configuration of an Envoy that leaves `x-request-id` as it came: pickers name decisions by it."""
    document = yaml.safe_load(config)
    for listener in document["static_resources"]["listeners"]:
        for chain in listener["filter_chains"]:
            for manager in chain["filters"]:
                manager["typed_config"]["preserve_external_request_id"] = True
    text: str = yaml.safe_dump(document)
    return text


async def _wait_serving(url: str, picker: Started) -> None:
    """Returns when a request without a prompt comes through: caches stay empty."""
    said = "no connection"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
        until = asyncio.get_running_loop().time() + READY_S
        while asyncio.get_running_loop().time() < until:
            picker.check()
            try:
                async with session.get(f"{url}/v1/models") as response:
                    if response.status == 200:
                        return
                    said = f"{response.status} {(await response.text())[:200]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"{type(error).__name__}: {error}"
            await asyncio.sleep(_RETRY_S)
    raise picker.failure(f"no request comes through Envoy within {READY_S:.0f} s of its start; the last answer: {said}")


async def _answers(url: str) -> bool:
    """Whether this picker tells its decisions."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session,
            session.get(url) as response,
        ):
            return response.status == 200 and response.content_type == "application/json"
    except (aiohttp.ClientError, TimeoutError):
        return False

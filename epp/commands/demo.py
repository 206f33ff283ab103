# ruff: noqa: TID251 - this file is an edge: it runs servers and clients
"""`epp demo`: simulated pods, the picker, a real Envoy, and chats through all of them.

The same chats run twice on cold caches: once with picks at random, then with the default policy.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from epp.commands.chats import Call, ChatSettings, requests_by_pod, run_chats, share_cached
from epp.commands.explain import print_answer
from epp.commands.running import fail, run_until_stopped
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
    """Watch it work: Envoy, the picker and simulated pods, with chat requests through all of them."""
    logs = start_logging(LogSettings(Level.WARNING), sys.stderr)
    chats = ChatSettings(people=people, turns=turns)
    try:
        run_until_stopped(lambda stop: _demo(pods, chats, logs, keep=keep, stop=stop))
    finally:
        logs.stop()


async def _demo(count: int, chats: ChatSettings, logs: LogControl, *, keep: bool, stop: asyncio.Event) -> None:
    try:
        from epp.envoy import EnvoyError, EnvoyProcess, EnvoySettings, as_yaml, build_bootstrap  # noqa: PLC0415
    except ImportError as error:
        raise fail(str(error)) from None
    console = Console(highlight=False)
    console.print(f"Starting {count} simulated vLLM pods, the picker and Envoy ...")
    engine = EngineSettings(num_gpu_blocks=CACHE_BLOCKS, max_num_seqs=32, max_model_len=CACHE_BLOCKS * 8)
    async with serve(SimServerSettings(pods=count, port=0, speeds=(SPEED,), engine=engine)) as pods:
        flags: dict[str, str | tuple[str, ...]] = {"secure-serving": "false", "bind": "127.0.0.1"}
        flags |= {"grpc-port": "0", "grpc-health-port": "0", "metrics-port": "0", "endpoint": pods.addresses}
        picker = PickerProcess(load(flags, os.environ), {}, logs)
        served = await picker.start()
        try:
            await picker.wait_ready()
            bootstrap = build_bootstrap(
                EnvoySettings(listener_port=0, admin_port=0, picker_port=served.extproc, picker_tls=None)
            )
            async with EnvoyProcess(as_yaml(bootstrap)) as envoy:
                work = asyncio.create_task(_compare(console, f"http://{envoy.listener_address}", picker, pods, chats))
                ended = asyncio.create_task(stop.wait())
                await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    work.cancel()
                    await asyncio.gather(work, return_exceptions=True)
                    return
                work.result()
                if keep:
                    _say_addresses(console, envoy.listener_address, served.http, pods)
                    await stop.wait()
                ended.cancel()
        except EnvoyError as error:
            raise StartError(str(error)) from None
        finally:
            await picker.stop()


async def _compare(console: Console, url: str, picker: PickerProcess, pods: SimPods, chats: ChatSettings) -> None:
    default, rules = picker.router.profile, picker.router.settings.targets
    results: dict[str, Sequence[Call]] = {}
    for name, profile in (("picked at random", AT_RANDOM), ("picked by epp", default)):
        await asyncio.gather(*(pod.restart() for pod in pods))
        picker.router.reconfigure(profile, rules)
        results[name] = await _chat(console, name, url, chats)
    console.print()
    console.print(_summary(results))
    console.print(_by_pod(results["picked by epp"], pods))
    console.print("\nWhy the last one went where it went (epp explain):")
    print_answer(decision_view(picker.router.decisions[-1], CLOCK), console)
    failed = sum(1 for calls in results.values() for call in calls if call.status != 200)
    if failed:
        raise StartError(f"{failed} requests failed")


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
    table = Table(title="The same chats through the same pods, caches cold at first", title_justify="left", box=None)
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    rows: tuple[tuple[str, Callable[[Sequence[Call]], str]], ...] = (
        ("requests", lambda calls: f"{len(calls)}"),
        ("answered 200", lambda calls: f"{sum(call.status == 200 for call in calls)}"),
        ("prompt tokens from cache", lambda calls: f"{share_cached(calls):.0%}"),
        ("time to first token, mean", lambda calls: _seconds(np.mean([call.first_token_s for call in calls]))),
        ("time to first token, p90", lambda calls: _seconds(np.quantile([call.first_token_s for call in calls], 0.9))),
        ("whole answer, mean", lambda calls: _seconds(np.mean([call.total_s for call in calls]))),
    )
    for name, of in rows:
        table.add_row(name, *(of(calls) for calls in results.values()))
    return table


def _by_pod(calls: Sequence[Call], pods: SimPods) -> Table:
    served = requests_by_pod(calls)
    table = Table(title="\nPods, picked by epp", title_justify="left", box=None)
    for name in ("pod", "requests", "from cache"):
        table.add_column(name, justify="left" if name == "pod" else "right")
    for address in pods.addresses:
        own = [call for call in calls if call.served_by == address]
        table.add_row(address, f"{served[address]}", f"{share_cached(own):.0%}")
    return table


def _seconds(value: float | np.floating[Any]) -> str:
    return f"{value:.3f} s"


def _say_addresses(console: Console, gateway: str, http_port: int, pods: SimPods) -> None:
    console.print(f"\nStill up: gateway http://{gateway}, pods {', '.join(pods.addresses)}")
    console.print(f"Metrics and debug pages http://127.0.0.1:{http_port}")
    console.print(
        f'Try: curl http://{gateway}/v1/chat/completions -H "content-type: application/json" '
        '-d \'{"model":"sim-model","messages":[{"role":"user","content":"hello"}]}\''
    )
    console.print("Ctrl-C ends it.")

"""Plays a workload against a URL and makes a `Run` of it: progress on the way, Ctrl-C ends it with what there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.http.decisions import Predictions, follow_decisions
from bench.http.interrupts import Interrupts
from bench.http.lateness import ClientEffort, effort_of
from bench.http.player import Player, Target
from bench.http.results import CallRecord, Labels, run_of
from bench.http.schedule import Schedule
from epp.reports.runs import Run
from epp.workloads.prefixes import reusable_tokens
from epp.workloads.types import Workload

__all__ = ["Plan", "Played", "play"]

_PROGRESS_S = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """How a workload is played."""

    workload: Workload
    labels: Labels
    clients: int | None = None
    """Of a closed loop; None: open loop."""
    pods: tuple[str, ...] = ()
    """Addresses, in the order in which reports show them."""
    decisions_url: str = ""
    """Where the picker tells its last decisions; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Played:
    """A run, and what is known besides."""

    run: Run
    records: tuple[CallRecord, ...]
    effort: ClientEffort
    interrupted: bool
    problems: tuple[str, ...] = field(default=())
    """What went wrong beside the calls."""


async def play(plan: Plan, target: Target, console: Console, interrupts: Interrupts | None = None) -> Played:
    """Plays the workload. An interrupt ends it early; the calls that were due by then are reported."""
    predictions = Predictions()
    async with (
        Player(target, plan.workload, Schedule(plan.workload, plan.clients)) as player,
        _following(plan.decisions_url, predictions),
    ):
        used, began = time.process_time(), time.perf_counter()
        with (interrupts or Interrupts()).doing(player.stop) as stopped, _progress(console, plan) as (bar, task):
            await _shown(player, bar, task)
        used, wall = time.process_time() - used, time.perf_counter() - began
    effort = effort_of(player.records, used, wall)
    run = run_of(
        plan.workload,
        player.records,
        reusable_tokens(plan.workload),
        plan.labels,
        pods=plan.pods,
        predictions=predictions.by_id,
        counters=effort.counters,
    )
    problems = tuple(text for text in (effort.warning, predictions.problem) if text)
    return Played(run, tuple(player.records), effort, bool(stopped), problems)


@asynccontextmanager
async def _following(url: str, predictions: Predictions) -> AsyncIterator[None]:
    if not url:
        yield
        return
    ended = asyncio.Event()
    task = asyncio.create_task(follow_decisions(url, predictions, ended))
    try:
        yield
    finally:
        ended.set()
        await task


async def _shown(player: Player, bar: Progress, task: TaskID) -> None:
    """Plays, and shows how far it is."""
    playing = asyncio.create_task(player.play())
    try:
        while not playing.done():
            await asyncio.wait({playing}, timeout=_PROGRESS_S)
            under_way = len(player.records) - player.ended
            bar.update(task, completed=player.ended, under_way=under_way, failed=player.failed)
        playing.result()
    finally:
        playing.cancel()


@contextmanager
def _progress(console: Console, plan: Plan) -> Iterator[tuple[Progress, TaskID]]:
    text = TextColumn(
        "{task.completed}/{task.total} calls, {task.fields[under_way]} under way, {task.fields[failed]} failed"
    )
    columns = (TextColumn(plan.labels.policy), BarColumn(), text, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar, bar.add_task("calls", total=len(plan.workload.calls), under_way=0, failed=0)

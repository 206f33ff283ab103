"""Runs the benchmark: `python -m bench.extproc --help`."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import uvloop

from bench.extproc import comparison as compared
from bench.extproc.comparison import Plan, compare
from bench.extproc.crowd import play_crowd
from bench.extproc.memory import measure_index, soak
from bench.extproc.overload import SHARES, capacity_of, play_overload
from bench.extproc.parts import measure_parts
from bench.extproc.plot import draw
from bench.extproc.report import tables
from bench.extproc.results import Results, as_json, this_machine
from bench.extproc.scraping import measure_scraping
from bench.extproc.servers import BenchError, bare, other, ours, pages
from bench.extproc.tables import MissingMarkerError, with_tables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"

FEW, MANY = 10, 100
"""Endpoints of our picker."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    bursts: Plan
    paced: Plan
    all_paced: bool
    """All prompts at a pace too, not only one."""
    scraping_s: float
    crowd: int
    overload_s: float
    shares: tuple[float, ...]
    parts_s: float
    part_sizes: tuple[int, ...]
    soak_requests: int
    index: bool


QUICK = Extent(
    bursts=Plan(rounds=3, seconds=0.3, paced_seconds=0.0),
    paced=Plan(rounds=2, seconds=0.0, paced_seconds=1.5),
    all_paced=False,
    scraping_s=4.0,
    crowd=2_000,
    overload_s=3.0,
    shares=(0.5, 2.0),
    parts_s=3.0,
    part_sizes=(4_096,),
    soak_requests=4_000,
    index=False,
)

FULL = Extent(
    bursts=Plan(rounds=7, seconds=1.0, paced_seconds=0.0),
    paced=Plan(rounds=4, seconds=0.0, paced_seconds=3.0),
    all_paced=True,
    scraping_s=30.0,
    crowd=2_000,
    overload_s=6.0,
    shares=SHARES,
    parts_s=10.0,
    part_sizes=(200, 4_096, 131_072),
    soak_requests=60_000,
    index=True,
)

SOAK_REQUESTS = 1_000_000

PACE_PER_S = 60.0
"""Arrivals per second of paced prompts: the longest ones keep a server busy for a fifth of the time."""


def main() -> int:
    """Runs what the command line asks for. The exit status."""
    options = _options()
    rng = random.Random(options.seed)
    results = Results(this_machine())
    extent = FULL if options.full else QUICK
    if options.soak:
        with _noting(results, "memory"):
            uvloop.run(_soak(results, options.requests))
    else:
        uvloop.run(_measure(results, extent, options.other, rng))
    _say(results)
    _keep(results, options)
    return 1 if results.notes else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.extproc", description="Measures what the picker costs.")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--full", action="store_true", help="long enough for docs/performance.md, and writes it")
    extent.add_argument("--soak", action="store_true", help="memory over very many requests, and nothing else")
    parser.add_argument("--requests", type=int, default=SOAK_REQUESTS, help="of the soak (default: %(default)s)")
    parser.add_argument("--other", metavar="COMMAND", help="one more picker: its command line with {port} in it")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals (default: %(default)s)")
    return parser.parse_args()


async def _measure(results: Results, extent: Extent, other_command: str | None, rng: random.Random) -> None:
    """All scenarios. One that fails is noted, and the others go on."""
    scenarios: dict[str, Callable[[], Awaitable[None]]] = {
        "comparison": partial(_compare, results, extent, other_command, rng),
        "scraping": partial(_scraping, results, extent),
        "crowd and overload": partial(_overload, results, extent, rng),
        "memory": partial(_memory, results, extent),
    }
    for name, scenario in scenarios.items():
        _show(name)
        with _noting(results, name):
            await scenario()


async def _compare(results: Results, extent: Extent, other_command: str | None, rng: random.Random) -> None:
    async with pages(MANY) as addresses, AsyncExitStack() as stack:
        started = [bare(), ours(addresses[:FEW]), ours(addresses)]
        if other_command:
            started.append(other(other_command))
        servers = [await stack.enter_async_context(server) for server in started]
        _show("  requests")
        loads = [*compared.prompt_loads(), *compared.frame_loads()]
        results.requests = await compare(servers, loads, extent.bursts, rng)
        _show("  reply chunks")
        results.chunks = await compare(servers, compared.chunk_loads(), extent.bursts, rng)
        _show("  requests at a pace")
        paced = compared.prompt_loads(per_s=PACE_PER_S)
        results.paced_requests = await compare(servers, paced if extent.all_paced else paced[1:2], extent.paced, rng)
        _show("  reply chunks at a pace")
        results.paced_chunks = await compare(servers, compared.paced_chunk_loads(), extent.paced, rng)
        _show("  where the time goes")
        for size in extent.part_sizes:
            results.parts.append(await measure_parts(servers[2], addresses, size, extent.parts_s))


async def _scraping(results: Results, extent: Extent) -> None:
    results.scraping = await measure_scraping(MANY, extent.scraping_s)


async def _overload(results: Results, extent: Extent, rng: random.Random) -> None:
    async with pages(MANY) as addresses:
        async with ours(addresses) as patient:
            capacity = await capacity_of(patient)
        async with bare() as nothing, ours(addresses, may_hurry=True) as server:
            results.crowds = await play_crowd((nothing, server), extent.crowd)
            results.overload = await play_overload(server, capacity, extent.overload_s, extent.shares, rng)


async def _memory(results: Results, extent: Extent) -> None:
    if extent.index:
        results.index = await measure_index()
    await _soak(results, extent.soak_requests)


async def _soak(results: Results, requests: int) -> None:
    async with pages(MANY) as addresses, ours(addresses) as server:
        results.soak = await soak(server, requests, _show)


@contextmanager
def _noting(results: Results, name: str) -> Iterator[None]:
    """Keeps what fails from taking the rest with it."""
    try:
        yield
    except BenchError as error:
        results.notes.append(f"{name}: {error}")


def _show(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def _say(results: Results) -> None:
    for table in tables(results):
        print(f"\n{table.text()}", end="")
    for note in results.notes:
        print(f"\nnot measured: {note}")


def _keep(results: Results, options: argparse.Namespace) -> None:
    """Keeps a quick run's results where version control does not look; the others' replace those of the page."""
    for_page = options.full or options.soak
    folder = ROOT / "bench" / "results" / ("" if for_page else "local")
    folder.mkdir(parents=True, exist_ok=True)
    name = "extproc-soak" if options.soak else "extproc"
    (folder / f"{name}.json").write_text(as_json(results))
    if results.requests:
        draw(results, folder / f"{name}.svg")
    if for_page:
        _write_page(results, soaked=options.soak)
    print(f"\nkept in {folder.relative_to(ROOT)}" + (f" and {PAGE.relative_to(ROOT)}" if for_page else ""))


def _write_page(results: Results, *, soaked: bool) -> None:
    """Puts tables into the page. The soak has places of its own there, which a full run leaves alone."""
    own = {"soak": "soak", "budget": "soak-budget", "machine": "soak-machine"}
    chosen = [table for table in tables(results) if soaked or table.name != "soak"]
    renamed = [replace(table, name=own[table.name]) for table in chosen] if soaked else chosen
    try:
        PAGE.write_text(with_tables(PAGE.read_text(), renamed))
    except MissingMarkerError as error:
        print(f"error: {PAGE}: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

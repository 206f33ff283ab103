"""From findings to tables, and to a verdict on each line of the budget.

The budget is that of docs/performance.md: what the picker may cost on top of a gRPC stream that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.extproc.comparison import FRAME_BYTES, Comparison, Cost, Load
from bench.extproc.results import Results
from bench.extproc.runs import Fate
from bench.extproc.tables import Table

__all__ = ["chunk_costs", "size_text", "tables"]

SMALL_BYTES = 4_096
"""Prompts up to here must cost at most so much on top of a bare stream:"""

LIMIT_SHARE, AIM_SHARE = 0.8, 0.5
LIMIT_US_PER_KB = 3.5
"""Of body beyond, on top of the bare stream."""
LIMIT_SCRAPING_CORES = 0.1
LIMIT_INDEX_MB = 250
FLAT_SHARE = 0.02
"""By which memory may still grow over the second half of a soak."""
LONG_SOAK = 1_000_000
"""Requests; after half of them the index has reached its bound of 256 MiB. Shorter soaks show how memory rises."""


def tables(results: Results) -> list[Table]:
    """All tables that these findings give."""
    found: list[Table | None] = [
        _machine(results),
        _requests(results.requests, "requests", "CPU per request, bursts"),
        _requests(results.paced_requests, "paced-requests", "CPU per request, Poisson arrivals"),
        _chunks(results),
        _parts(results),
        _picks(results),
        _scraping(results),
        _crowds(results),
        _overload(results),
        _index(results),
        _soak(results),
        _budget(results),
    ]
    return [table for table in found if table]


def size_text(size: int) -> str:
    """Length of a body, for people."""
    if size < 1_024:
        return f"{size} B"
    return f"{size // 1_024} KB" if size % 1_024 == 0 else f"{size // 1_000} KB"


def chunk_costs(comparison: Comparison, server: int) -> list[tuple[Load, float]]:
    """What each chunk beyond those of the shorter reply costs, in us."""
    return [
        (longer, (more[server].cpu_us - less[server].cpu_us) / (longer.exchange.chunks - shorter.exchange.chunks))
        for (shorter, less), (longer, more) in pairwise(comparison.costs)
    ]


def _machine(results: Results) -> Table:
    machine = results.machine
    rows = (
        ("when", machine.at),
        ("CPU", f"{machine.cores} cores of {machine.cpu}"),
        ("load average before", f"{machine.load_before:.2f}"),
        ("Python, grpcio, epp", f"{machine.python}, {machine.grpcio}, {machine.epp}"),
    )
    return Table("machine", "Machine", ("", "this run"), rows)


def _requests(comparison: Comparison | None, name: str, title: str) -> Table | None:
    if comparison is None:
        return None
    header = ["prompt"]
    for server in comparison.servers:
        header += [f"{server}, us"] if server == comparison.servers[0] else [f"{server}, us", "ratio"]
    rows = []
    for load, costs in comparison.costs:
        row = [size_text(load.exchange.prompt_bytes) + _frames(load), f"{costs[0].cpu_us:.0f}"]
        for cost in costs[1:]:
            row += [f"{cost.cpu_us:.0f}", f"{cost.ratio:.2f}"]
        rows.append((*row, f"{max(cost.generator_us for cost in costs):.0f}"))
    return Table(name, title, (*header, "generator, us"), tuple(rows))


def _frames(load: Load) -> str:
    return f" in frames of {FRAME_BYTES // 1024} KB" if load.frame_bytes else ""


def _chunks(results: Results) -> Table | None:
    rows = []
    servers: tuple[str, ...] = ()
    for comparison, arrivals in ((results.chunks, "bursts"), (results.paced_chunks, "paced")):
        if comparison is None:
            continue
        servers = comparison.servers
        first_load, first_costs = comparison.costs[0]
        chunks = first_load.exchange.chunks
        title = f"exchange of {size_text(first_load.exchange.prompt_bytes)} and {chunks} chunk, {arrivals}"
        rows.append((title, *(f"{cost.cpu_us:.0f}" for cost in first_costs)))
        by_server = [chunk_costs(comparison, server) for server in range(len(servers))]
        for costs in zip(*by_server, strict=True):
            chunks = costs[0][0].exchange.chunks
            rows.append((f"each chunk more, up to {chunks:,}, {arrivals}", *(f"{us:.1f}" for _, us in costs)))
    if not rows:
        return None
    return Table("chunks", "CPU per reply chunk", ("", *(f"{server}, us" for server in servers)), tuple(rows))


def _parts(results: Results) -> Table | None:
    if not results.parts:
        return None
    names = list(dict.fromkeys(part.name for parts in results.parts for part in parts.parts))
    by_size = [{part.name: part.us for part in parts.parts} for parts in results.parts]
    rows = [(name, *(f"{us.get(name, 0.0):.0f}" for us in by_size)) for name in names]
    rows.append(("all", *(f"{parts.total_us:.0f}" for parts in results.parts)))
    header = ("part", *(f"{size_text(parts.prompt_bytes)}, us" for parts in results.parts))
    return Table("parts", "Where the time of a request goes, 100 endpoints, bursts", header, tuple(rows))


def _picks(results: Results) -> Table | None:
    """Picks and chunks per second of one core, by what they cost it."""
    rows = []
    servers: tuple[str, ...] = ()
    for comparison, arrivals in ((results.requests, "bursts"), (results.paced_requests, "paced")):
        for load, costs in comparison.costs if comparison else ():
            if load.frame_bytes is None:
                name = f"picks, {size_text(load.exchange.prompt_bytes)}, {arrivals}"
                rows.append((name, *(f"{1e6 / cost.cpu_us:,.0f}" for cost in costs)))
        servers = comparison.servers if comparison else servers
    for comparison, arrivals in ((results.chunks, "bursts"), (results.paced_chunks, "paced")):
        if comparison:
            longest = [chunk_costs(comparison, server)[-1][1] for server in range(len(comparison.servers))]
            rows.append((f"reply chunks, {arrivals}", *(f"{1e6 / us:,.0f}" for us in longest)))
    if not rows:
        return None
    return Table("per-core", "Per second of one core's time", ("", *servers), tuple(rows))


def _scraping(results: Results) -> Table | None:
    found = results.scraping
    if found is None:
        return None
    row = (str(found.endpoints), f"{found.cores:.3f}", f"{found.idle_cores:.3f}")
    header = ("endpoints", "cores, every second", "cores, never")
    return Table("scraping", "An idle picker that reads 78 KB pages", header, (row,))


def _crowds(results: Results) -> Table | None:
    if not results.crowds:
        return None
    rows = []
    for crowd in results.crowds:
        fates = crowd.fates
        counts = (f"{fates[Fate.DONE]:,}", f"{fates[Fate.CLOSED_AFTER_PICK]:,}", _bad(fates))
        rows.append((crowd.server, f"{crowd.streams:,}", *counts, _ms(crowd.pick_p50_s), _ms(crowd.last_pick_s)))
    header = ("", "streams", "done", "closed after the pick", "refused or failed", "pick p50, ms", "last pick, ms")
    return Table("crowd", "Streams that all begin at once", header, tuple(rows))


def _overload(results: Results) -> Table | None:
    if not results.overload:
        return None
    rows = []
    for one in results.overload:
        done, closed = one.fates[Fate.DONE], one.fates[Fate.CLOSED_AFTER_PICK]
        all_ended = sum(one.fates.values()) + one.unanswered
        rows.append(
            (
                f"{one.share:.2f}",
                f"{one.per_s:,.0f}",
                f"{done / all_ended:.1%}",
                f"{closed / all_ended:.1%}",
                str(int(_bad(one.fates)) + one.unanswered),
                _ms(one.pick_p50_s),
                _ms(one.pick_p99_s),
                f"{one.busy:.2f}",
                f"{one.generator_busy:.2f}",
            )
        )
    header = ("share of capacity", "arrivals/s", "whole", "closed after the pick", "refused, failed, unanswered")
    return Table(
        "overload",
        "Arrivals up to and beyond capacity",
        (*header, "pick p50, ms", "pick p99, ms", "cores", "generator's"),
        tuple(rows),
    )


def _index(results: Results) -> Table | None:
    found = results.index
    if found is None:
        return None
    row = (f"{found.entries:,}", f"{found.own_bytes / 1e6:.0f}", f"{found.rss_bytes / 1e6:.0f}")
    return Table("index", "The prefix index alone", ("entries", "by its own count, MB", "process growth, MB"), (row,))


def _soak(results: Results) -> Table | None:
    found = results.soak
    if found is None:
        return None
    shown = [(requests, held) for step, (requests, held) in enumerate(found.rss) if step < 2 or step % 5 == 0]
    rows = tuple((f"{requests:,}", f"{held / 2**20:.1f}") for requests, held in shown)
    return Table("soak", f"Memory over {found.requests:,} different prompts of 4 KB", ("requests", "RSS, MiB"), rows)


def _budget(results: Results) -> Table | None:
    rows = tuple(_verdicts(results))
    return Table("budget", "Budget", ("what", "limit", "measured", "holds"), rows) if rows else None


def _verdicts(results: Results) -> Iterator[tuple[str, str, str, str]]:
    """What is limited, the limit, what was measured, and whether it holds. 100 endpoints are the last of ours."""
    for comparison, arrivals in ((results.requests, "bursts"), (results.paced_requests, "paced")):
        for load, costs in comparison.costs if comparison else ():
            if load.exchange.prompt_bytes <= SMALL_BYTES:
                name = f"on top of a bare stream, {size_text(load.exchange.prompt_bytes)}, {arrivals}"
                share = _ours(comparison, costs).ratio - 1.0
                limit = f"{LIMIT_SHARE}x, aim {AIM_SHARE}x"
                yield name, limit, f"{share:.2f}x", _holds(share <= LIMIT_SHARE, aim=share <= AIM_SHARE)
        if comparison and (us_per_kb := _per_kb(comparison)) is not None:
            held = _holds(us_per_kb <= LIMIT_US_PER_KB)
            yield f"each KB beyond 4 KB, {arrivals}", f"{LIMIT_US_PER_KB} us", f"{us_per_kb:.2f} us", held
    if found := results.scraping:
        held = _holds(found.cores <= LIMIT_SCRAPING_CORES)
        name = f"{found.endpoints} idle endpoints, scraped every second"
        yield name, f"{LIMIT_SCRAPING_CORES} cores", f"{found.cores:.3f} cores", held
    if index := results.index:
        held = _holds(index.rss_bytes <= LIMIT_INDEX_MB * 1e6)
        yield f"index of {index.entries:,} entries", f"{LIMIT_INDEX_MB} MB", f"{index.rss_bytes / 1e6:.0f} MB", held
    if (soak := results.soak) and soak.requests >= LONG_SOAK:
        half, end = soak.rss[len(soak.rss) // 2][1], soak.rss[-1][1]
        growth = end / half - 1.0
        name = f"memory over the second half of {soak.requests:,} requests"
        yield name, f"+{FLAT_SHARE:.0%}", f"{growth:+.1%}", _holds(growth <= FLAT_SHARE)


def _ours(comparison: Comparison | None, costs: Sequence[Cost]) -> Cost:
    """Our cost with most endpoints."""
    assert comparison is not None, "it has these costs"
    return costs[max(place for place, name in enumerate(comparison.servers) if name.startswith("epp"))]


def _per_kb(comparison: Comparison) -> float | None:
    """What a KB of body beyond small prompts costs on top of the bare stream, in us; up to the longest prompt."""
    beyond = {
        load.exchange.prompt_bytes: _ours(comparison, costs).cpu_us - costs[0].cpu_us
        for load, costs in comparison.costs
        if load.frame_bytes is None and load.exchange.prompt_bytes >= SMALL_BYTES
    }
    longest = max(beyond)
    return (beyond[longest] - beyond[SMALL_BYTES]) / (longest - SMALL_BYTES) * 1024 if longest > SMALL_BYTES else None


def _holds(held: bool, *, aim: bool = True) -> str:  # noqa: FBT001 - its only subject
    return ("yes" if aim else "yes, not the aim") if held else "no"


def _bad(fates: dict[Fate, int]) -> str:
    return str(fates[Fate.REFUSED] + fates[Fate.FAILED])


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"

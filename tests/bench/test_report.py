"""Costs of turns, tables of findings, and the verdicts on the budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.extproc.comparison import Comparison, Cost, Load, Sample, costs_of
from bench.extproc.crowd import Crowd
from bench.extproc.exchanges import Reply, exchange
from bench.extproc.memory import IndexSize, Soak
from bench.extproc.overload import Overload
from bench.extproc.parts import Part, Parts
from bench.extproc.plot import draw
from bench.extproc.report import chunk_costs, size_text, tables
from bench.extproc.results import Machine, Results, as_json
from bench.extproc.runs import Fate
from bench.extproc.scraping import Scraping
from bench.extproc.tables import Table, with_tables

PERFORMANCE_PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

MACHINE = Machine("today", "a CPU", 2, 0.1, "3.11", "1.80", "0.1.0")
SERVERS = ("bare", "epp, 10 endpoints", "epp, 100 endpoints")
FATES = {Fate.DONE: 90, Fate.CLOSED_AFTER_PICK: 10, Fate.REFUSED: 0, Fate.FAILED: 0}


def cost(us: float, ratio: float) -> Cost:
    return Cost(us, us, us, ratio, busy=1.0, generator_us=50.0, pick_p50_ms=1.0, pick_p99_ms=2.0)


def requests(*sizes: tuple[int, float, float], per_s: float | None = None) -> Comparison:
    """By size: what the bare server costs, and ours with 100 endpoints."""
    return Comparison(
        SERVERS,
        tuple(
            (
                Load(exchange(size, 0, Reply.LEAN), per_s=per_s),
                (cost(bare, 1.0), cost(ours, 1.1), cost(ours, ours / bare)),
            )
            for size, bare, ours in sizes
        ),
    )


def chunks() -> Comparison:
    """10 us a chunk for the bare server, 20 for ours."""
    return Comparison(
        SERVERS,
        tuple(
            (Load(exchange(4_096, count)), tuple(cost(200 + each * count, 1.0) for each in (10, 20, 20)))
            for count in (1, 101)
        ),
    )


def everything() -> Results:
    return Results(
        MACHINE,
        requests=requests((200, 200, 290), (4_096, 200, 340), (400_000, 1_000, 2_400)),
        paced_requests=requests((4_096, 300, 570), per_s=60.0),
        chunks=chunks(),
        paced_chunks=chunks(),
        parts=[Parts(4_096, 300.0, (Part("JSON", 10.0), Part("gRPC", 290.0)))],
        scraping=Scraping(100, 0.12, 0.01, 30.0),
        crowds=[Crowd("bare", 100, FATES, 1.0, 0.1, 0.2)],
        overload=[Overload(1.5, 900.0, FATES, 3, 0.01, 0.2, 0.99, 0.5)],
        soak=Soak(1_000_000, ((0, 100), (500_000, 110), (1_000_000, 111)), 300.0),
        index=IndexSize(1_000_000, 90_000_000, 80_000_000),
    )


def table(results: Results, name: str) -> Table:
    return next(one for one in tables(results) if one.name == name)


def sample(cpu_s: float) -> Sample:
    return Sample(100, cpu_s, 1.0, 0.01, 0.001, 0.002)


def test_the_middle_ratio_of_the_rounds_counts() -> None:
    # The machine was slow in the second round, which cost both twice as much, and someone disturbed in the third.
    turns = [(sample(0.02), sample(0.03)), (sample(0.04), sample(0.06)), (sample(0.02), sample(0.09))]
    bare, ours = costs_of(turns)
    assert (bare.cpu_us, bare.ratio) == (200.0, 1.0)
    assert (ours.cpu_us, ours.low_us, ours.high_us) == pytest.approx((600.0, 300.0, 900.0))
    assert ours.ratio == pytest.approx(1.5)


def test_a_chunk_costs_what_a_longer_reply_costs_more() -> None:
    assert [round(us, 6) for _, us in chunk_costs(chunks(), 0)] == [10.0]
    assert [round(us, 6) for _, us in chunk_costs(chunks(), 2)] == [20.0]


def test_verdicts_on_the_budget() -> None:
    assert table(everything(), "budget").rows == (
        ("on top of a bare stream, 200 B, bursts", "0.8x, aim 0.5x", "0.45x", "yes"),
        ("on top of a bare stream, 4 KB, bursts", "0.8x, aim 0.5x", "0.70x", "yes, not the aim"),
        ("each KB beyond 4 KB, bursts", "3.5 us", "3.26 us", "yes"),
        ("on top of a bare stream, 4 KB, paced", "0.8x, aim 0.5x", "0.90x", "no"),
        ("100 idle endpoints, scraped every second", "0.1 cores", "0.120 cores", "no"),
        ("index of 1,000,000 entries", "250 MB", "80 MB", "yes"),
        ("memory over the second half of 1,000,000 requests", "+2%", "+0.9%", "yes"),
    )


def test_what_was_not_measured_has_no_table() -> None:
    assert [one.name for one in tables(Results(MACHINE))] == ["machine"]


def test_a_short_soak_is_no_proof_of_flat_memory() -> None:
    results = Results(MACHINE, soak=Soak(1_000, ((0, 100), (500, 100), (1_000, 100)), 300.0))
    assert [one.name for one in tables(results)] == ["machine", "soak"]


def test_every_table_has_its_place_in_the_docs() -> None:
    found = [one for one in tables(everything()) if one.name != "soak"]
    of_soak = [Table(name, "", ("",), ()) for name in ("soak", "soak-budget", "soak-machine")]
    with_tables(PERFORMANCE_PAGE.read_text(), [*found, *of_soak])


def test_overload_counts_what_became_of_arrivals() -> None:
    assert table(everything(), "overload").rows == (
        ("1.50", "900", "87.4%", "9.7%", "3", "10.0", "200.0", "0.99", "0.50"),
    )


def test_findings_can_be_read_by_other_programs() -> None:
    found = json.loads(as_json(everything()))
    assert found["requests"]["4 KB, lean, bursts"]["epp, 100 endpoints"]["cpu_us"] == 340
    assert found["crowds"][0]["fates"]["closed after the pick"] == 10


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.svg", "other.svg"):
        draw(everything(), tmp_path / name)
    one, other = ((tmp_path / name).read_bytes() for name in ("one.svg", "other.svg"))
    assert b"CPU per request" in one
    assert one == other


@pytest.mark.parametrize(("size", "text"), [(200, "200 B"), (4_096, "4 KB"), (131_072, "128 KB"), (400_000, "400 KB")])
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text

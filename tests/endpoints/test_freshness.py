from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.endpoints import EndpointSpec, EndpointTable, FreshnessSettings, Scrape
from epp.endpoints.adapters import AdapterLedger
from epp.endpoints.freshness import Freshness
from epp.endpoints.ledger import Ledger


def make(count: int = 2) -> tuple[EndpointTable, Ledger, Freshness]:
    table = EndpointTable()
    table.replace([EndpointSpec(f"10.0.0.{number}:8000") for number in range(1, count + 1)], 0.0)
    table.columns.usable[: table.size] = True
    ledger = Ledger(table, AdapterLedger(table))
    return table, ledger, Freshness(table, ledger, FreshnessSettings(stale_after_s=2.0, fade_s=8.0))


def test_what_goes_beyond_our_own_requests_is_foreign() -> None:
    table, ledger, freshness = make()
    for _ in range(3):
        ledger.charge(0, 0.0, 0.0, 1.0)
    freshness.scraped(0, Scrape(running=4, waiting=1), asked_at=2.0, now=2.1)
    assert table.columns.foreign_requests[0] == 2.0


def test_requests_placed_while_the_page_was_on_its_way_are_not_taken_for_seen() -> None:
    table, ledger, freshness = make()
    ledger.charge(0, 0.0, 0.0, 1.0)
    ledger.charge(0, 0.0, 0.0, 2.05)
    freshness.scraped(0, Scrape(running=3, waiting=0), asked_at=2.0, now=2.1)
    assert table.columns.foreign_requests[0] == 2.0  # three on the page, one of them ours


def test_what_a_page_does_not_say_stays() -> None:
    table, _, freshness = make()
    freshness.scraped(0, Scrape(running=1, waiting=2, kv_usage=0.5, capacity_tokens=1000, max_loras=2), 0.0, 0.0)
    freshness.scraped(0, Scrape(running=3), 1.0, 1.0)
    columns = table.columns
    assert (columns.running_seen[0], columns.waiting_seen[0], columns.kv_usage_seen[0]) == (3, 2, 0.5)
    assert (columns.capacity_tokens[0], columns.max_loras[0]) == (1000, 2)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(1.0, 0.0), (2.0, 0.0), (6.0, 5.0), (10.0, 10.0), (1000.0, 10.0)],
    ids=["fresh", "at the threshold", "half faded", "faded", "long dead"],
)
def test_old_values_fade_to_the_worst_of_the_pool(age: float, expected: float) -> None:
    table, _, freshness = make()
    freshness.scraped(0, Scrape(running=0, waiting=0), 0.0, 0.0)
    freshness.scraped(1, Scrape(running=3, waiting=10), age, age)
    freshness.fade(age)
    assert table.columns.waiting_base[0] == pytest.approx(expected)
    assert table.columns.waiting_seen[0] == 0.0


def test_an_endpoint_that_was_never_scraped_counts_as_the_worst() -> None:
    table, _, freshness = make(3)
    freshness.scraped(0, Scrape(running=2, waiting=7, kv_usage=0.9), 1.0, 1.0)
    freshness.scraped(1, Scrape(running=5, waiting=0, kv_usage=0.1), 1.0, 1.0)
    freshness.fade(1.1)
    columns = table.columns
    assert (columns.running_base[2], columns.waiting_base[2], columns.kv_usage_base[2]) == (5, 7, 0.9)
    assert columns.foreign_requests[2] == 9  # what the first carries, the most of all


def test_where_nothing_is_scraped_nothing_fades() -> None:
    table, _, freshness = make()
    freshness.fade(100.0)
    assert not table.columns.waiting_base.any()


def test_a_scrape_after_silence_counts_at_once() -> None:
    table, _, freshness = make()
    freshness.scraped(1, Scrape(running=9, waiting=9), 0.0, 50.0)
    freshness.fade(50.0)
    freshness.scraped(0, Scrape(running=1, waiting=0), 50.0, 50.1)
    freshness.fade(50.2)
    assert (table.columns.running_base[0], table.columns.waiting_base[0]) == (1, 0)


def test_the_worst_is_what_a_fresh_endpoint_carries_now() -> None:
    """The pages are from before a burst: who was placed on since the scrape counts."""
    table, ledger, freshness = make()
    freshness.scraped(0, Scrape(running=0, waiting=0), 0.0, 0.0)
    freshness.scraped(1, Scrape(running=1, waiting=0), 19.0, 19.0)
    for _ in range(6):
        ledger.charge(1, 0.0, 0.0, 19.5)
    freshness.fade(20.0)
    assert table.columns.running_base[0] == 7
    assert table.columns.foreign_requests[0] == 7


def test_an_unusable_endpoint_is_no_measure() -> None:
    table, _, freshness = make(3)
    freshness.scraped(0, Scrape(running=0, waiting=1), 0.0, 0.0)
    freshness.scraped(1, Scrape(running=1, waiting=3), 20.0, 20.0)
    freshness.scraped(2, Scrape(running=1, waiting=90), 20.0, 20.0)
    table.columns.usable[2] = False
    freshness.fade(20.0)
    assert table.columns.waiting_base[0] == 3


def test_fading_never_makes_an_endpoint_look_better() -> None:
    table, _, freshness = make()
    freshness.scraped(0, Scrape(running=5, waiting=50, kv_usage=0.9), 0.0, 0.0)
    freshness.scraped(1, Scrape(running=1, waiting=2, kv_usage=0.1), 20.0, 20.0)
    freshness.fade(20.0)
    columns = table.columns
    assert (columns.running_base[0], columns.waiting_base[0], columns.kv_usage_base[0]) == (5, 50, 0.9)


def test_where_all_are_stale_none_is_taken_for_worse_than_another() -> None:
    """The metrics port of the whole pool fails: what was seen last must not freeze a preference."""
    table, _, freshness = make()
    freshness.scraped(0, Scrape(running=0, waiting=0), 0.0, 0.0)
    freshness.scraped(1, Scrape(running=6, waiting=10), 0.0, 0.0)
    freshness.fade(60.0)
    assert table.columns.waiting_base[:2].tolist() == [5, 5]
    assert table.columns.running_base[:2].tolist() == [3, 3]


@given(
    *(st.none() | st.floats(0, 1e6) for _ in range(2)),
    st.none() | st.floats(0, 1),
    st.none() | st.integers(1, 10**9),
    st.integers(0, 5),
)
def test_one_page_shows_what_all_pages_together_would(
    running: float | None, waiting: float | None, usage: float | None, capacity: int | None, ours: int
) -> None:
    """A page of one endpoint is taken in by plain numbers, those of several by arrays."""
    table, ledger, freshness = make(3)
    for _ in range(ours):
        ledger.charge(1, 10.0, 20.0, 0.5)
    freshness.scraped(1, Scrape(running, waiting, usage, capacity_tokens=capacity), 1.0, 1.0)
    alone = {one.name: float(getattr(table.columns, one.name)[1]) for one in fields(table.columns)}
    freshness._show(np.array([1]))
    assert {one.name: float(getattr(table.columns, one.name)[1]) for one in fields(table.columns)} == alone

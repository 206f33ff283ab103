from epp.endpoints import Row, Scrape
from epp.scheduling.plugins.lora_affinity import LoraAffinityScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view


def test_resident_adapters_then_free_slots_then_queues_then_busy_slots() -> None:
    pool = pool_with(4)
    for address in pool.table.addresses:
        pool.scraped(address, Scrape(max_loras=2), 0.0, 0.0)
    pool.adapters.placed(Row(0), "a")
    for adapter in ("x", "y", "a"):
        pool.adapters.placed(Row(2), adapter)
    for adapter in ("x", "y"):
        pool.adapters.placed(Row(3), adapter)
    assert scored(LoraAffinityScorer(), chat(adapter="a"), view(pool)) == [1.0, 0.8, 0.6, 0.0]


def test_an_idle_adapter_that_no_metric_lists_is_still_resident() -> None:
    pool = pool_with(2)
    pool.adapters.placed(Row(1), "a")
    pool.adapters.released(Row(1), "a")
    pool.scraped(pool.table.addresses[1], Scrape(adapters=frozenset()), 0.0, 0.0)
    assert scored(LoraAffinityScorer(), chat(adapter="a"), view(pool)) == [0.8, 1.0]


def test_a_request_for_no_adapter_prefers_nobody() -> None:
    pool = pool_with(2)
    pool.adapters.placed(Row(0), "a")
    assert scored(LoraAffinityScorer(), chat(), view(pool)) == [1.0, 1.0]

import pytest

from epp.scheduling.plugins.concurrency_detector import ConcurrencyDetector, ConcurrencyMode
from tests.scheduling.plugins.contract import chat, kept, pool_with, view

COLUMNS = {"requests": [0, 9, 10, 2], "foreign_requests": [0, 0, 0, 9], "prefill_tokens": [0, 999, 5, 1000]}


@pytest.mark.parametrize(
    ("mode", "headroom", "expected"),
    [
        ("requests", 0.0, [0, 1]),
        ("requests", 0.1, [0, 1, 2]),
        ("requests", 0.19, [0, 1, 2]),
        ("requests", 0.2, [0, 1, 2, 3]),
        ("tokens", 0.0, [0, 1, 2]),
        ("tokens", 0.5, [0, 1, 2, 3]),
        ("hybrid", 0.0, [0, 1]),
        ("hybrid", 0.1, [0, 1, 2]),
    ],
)
def test_keeps_what_is_below_the_limits(mode: ConcurrencyMode, headroom: float, expected: list[int]) -> None:
    plugin = ConcurrencyDetector(10, headroom, mode, 1000)
    assert kept(plugin, chat(), view(pool_with(4, **COLUMNS))) == expected


@pytest.mark.parametrize("mode", ["requests", "tokens", "hybrid"])
def test_a_full_pool_is_used_all_the_same(mode: ConcurrencyMode) -> None:
    plugin = ConcurrencyDetector(1, 0.0, mode, 1)
    assert kept(plugin, chat(), view(pool_with(2, requests=[1, 2], prefill_tokens=[1, 2]))) == [0, 1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_concurrency": 0}, "maxConcurrency is 0; it must be more than 0"),
        ({"max_token_concurrency": -1}, "maxTokenConcurrency is -1; it must be more than 0"),
        ({"headroom": -1}, "headroom is -1; it must be at least 0"),
        ({"concurrency_mode": "bytes"}, "concurrencyMode is 'bytes'; it must be requests or tokens or hybrid"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConcurrencyDetector(**parameters)  # type: ignore[arg-type]

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.config.units import format_duration, format_size, parse_duration, parse_size

DURATIONS = {
    "500ms": 0.5, "2s": 2.0, "1m30s": 90.0, "1h": 3600.0, "1.5h": 5400.0, "100us": 0.0001, "1µs": 1e-6, "0": 0.0,
    "-5s": -5.0, "+1s": 1.0, " 1s ": 1.0, 3: 3.0, 0.25: 0.25,
}  # fmt: skip
SIZES = {
    "256MiB": 256 << 20, "1Gi": 1 << 30, "10MB": 10_000_000, "10M": 10_000_000, "5k": 5000, "5Ki": 5120,
    "1.5GiB": 3 << 29, "7": 7, "7B": 7, 12: 12, "2TiB": 2 << 40,
}  # fmt: skip


@pytest.mark.parametrize("text", DURATIONS)
def test_durations(text: str | float) -> None:
    assert parse_duration(text) == DURATIONS[text]  # type: ignore[index]


@pytest.mark.parametrize(
    "text", ["", "5", "1d", "5 minutes", "s", "1s2", "--1s", "1e3s", True, None, [], "9" * 400 + "h"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str | int) -> None:
    assert parse_size(text) == SIZES[text]  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "1.5 GiB", "-1", "GiB", "1XB", 1.5, True, None, "1" * 40])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15).map(lambda nanoseconds: nanoseconds / 1e9))
def test_a_duration_reads_back_as_it_was(seconds: float) -> None:
    assert round(parse_duration(format_duration(seconds)) * 1e9) == round(seconds * 1e9)


@settings(deadline=None)
@given(st.integers(0, 1 << 44))
def test_a_size_reads_back_as_it_was(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0015, "1.5ms"), (59, "59s"), (60, "1m"), (3723.5, "1h2m3.5s"), (1e-9, "1ns"), (7200, "2h")],
)
def test_durations_are_written_as_go_would_but_shorter(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text

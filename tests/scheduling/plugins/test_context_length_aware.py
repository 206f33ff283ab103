import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scheduling.plugins.context_length_aware import ContextLengthAware, range_of
from tests.scheduling.plugins.contract import chat, kept, opaque, pool_with, scored, spec, view

LABEL = "llm-d.ai/context-length-range"


def go_range(text: str) -> tuple[int, int] | None:
    """As strings.Split and strconv.Atoi read it, up to 18 digits."""
    parts = text.split("-")
    if len(parts) != 2:
        return None
    numbers = [part.strip(" \t\n\r\v\f").removeprefix("+") for part in parts]
    if not all(number.isascii() and number.isdigit() and len(number) <= 18 for number in numbers):
        return None
    low, high = map(int, numbers)
    return (low, high) if low <= high else None


def go_formula(label: str | None, length: int) -> float:
    if label is None:
        return 0.5
    found = go_range(label)
    if found is None:
        return 0.0
    low, high = found
    if low <= length <= high:
        width = high - low
        if width == 0:
            return 1.0
        raw = 0.7 / (1.0 + width / 10_000.0) + 0.3 * (high - length) / width
        return 0.3 + raw * 0.7
    return 0.3 / (1.0 + (length - high if length > high else low - length) / 1000.0)


RANGES = ["0-2048", "2048-8192", "8192-131072", "1000-1000", "0-0", " 1 - 2 "]
LABELS = [None, *RANGES, "", "7", "9-3", "a-b", "1-2-3", "-5"]
LENGTHS = [0, 1, 999.9, 1000, 2048, 8192, 200_000, 1e15]


@pytest.mark.parametrize("length", LENGTHS)
def test_scores_follow_the_go_picker(length: float) -> None:
    pool = pool_with([spec(row, {} if label is None else {LABEL: label}) for row, label in enumerate(LABELS)])
    expected = [go_formula(label, int(length)) for label in LABELS]
    assert scored(ContextLengthAware(), chat(), view(pool, prompt_tokens=length)) == pytest.approx(expected)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_filter_keeps_what_holds_the_prompt_and_what_has_no_label(length: float) -> None:
    pool = pool_with([spec(row, {} if label is None else {LABEL: label}) for row, label in enumerate(LABELS)])
    ranges = [None if label is None else go_range(label) for label in LABELS]
    expected = [
        row
        for row, (label, found) in enumerate(zip(LABELS, ranges, strict=True))
        if label is None or (found and found[0] <= int(length) <= found[1])
    ]
    assert kept(ContextLengthAware(enable_filtering=True), chat(), view(pool, prompt_tokens=length)) == expected


def test_it_filters_only_when_told_to() -> None:
    pool = pool_with([spec(0, {LABEL: "0-10"}), spec(1, {LABEL: "x"})])
    assert kept(ContextLengthAware(), chat(), view(pool, prompt_tokens=500)) == [0, 1]


def test_a_request_of_unknown_length_is_not_taken_for_an_empty_one() -> None:
    plugin = ContextLengthAware(enable_filtering=True)
    look = view(pool_with([spec(0, {LABEL: "0-10"}), spec(1, {LABEL: "1000-2000"})]))
    assert scored(plugin, opaque(), look) == [0.5, 0.5]
    assert kept(plugin, opaque(), look) == [0, 1]


def test_another_label_can_be_named() -> None:
    pool = pool_with([spec(0, {"tokens": "0-10"}), spec(1, {"tokens": "100-200"})])
    assert kept(ContextLengthAware("tokens", enable_filtering=True), chat(), view(pool, prompt_tokens=150)) == [1]


@given(st.text(alphabet="0123456789-+ \t٣x", max_size=30) | st.text())
def test_any_label_is_read_as_the_go_picker_reads_it(text: str) -> None:
    low, high = range_of(text)
    if low > high:
        assert go_range(text) is None
    else:
        assert go_range(text) == (int(low), int(high)) or low > 2**53 or high > 2**53


def test_a_label_is_required() -> None:
    with pytest.raises(ValueError, match="label is missing or empty"):
        ContextLengthAware("")

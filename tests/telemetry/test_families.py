import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.catalogue import FAMILIES
from epp.telemetry.families import CHUNK_LINES, Family, Histogram, Kind, Page
from tests.telemetry.samples import page_of, samples_of, value

GAUGE = Family("a_gauge", Kind.GAUGE, 'says "so"\nand \\ more', "", ("name", "other"))
COUNTER = Family("a_total", Kind.COUNTER, "counts", "")
HISTOGRAM = Family("a_seconds", Kind.HISTOGRAM, "times", "s", ("name",), (0.1, 1.0, 10.0))


class Shows:
    def __init__(self, *series: tuple[Family, tuple[str, ...], float | Histogram]) -> None:
        self.series = series

    def collect(self, page: Page) -> None:
        for family, labels, number in self.series:
            page.add(family, labels, number)


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=30))
def test_any_label_value_is_read_back_as_it_was(text: str) -> None:
    assert value(samples_of(Shows((GAUGE, (text, ""), 1.5))), "a_gauge", name=text) == 1.5


def test_halves_of_characters_do_not_break_the_page() -> None:
    assert 'name="?"' in page_of(Shows((GAUGE, ("\ud800", ""), 1)))


@given(st.lists(st.floats(0, 1e6), max_size=30))
def test_a_histogram_is_cumulative_and_its_sum_is_that_of_its_values(values: list[float]) -> None:
    histogram = Histogram(HISTOGRAM)
    for one in values:
        histogram.observe(one)
    samples = samples_of(Shows((HISTOGRAM, ("x",), histogram)))
    for bound in HISTOGRAM.buckets:
        expected = sum(1 for one in values if one <= bound)
        assert value(samples, "a_seconds_bucket", le=str(bound)) == expected
    assert value(samples, "a_seconds_bucket", le="+Inf") == value(samples, "a_seconds_count") == len(values)
    assert value(samples, "a_seconds_sum") == pytest.approx(sum(values))


@pytest.mark.parametrize("number", [0, 7, 2**60, -1.5, 1e-9, 1e300, math.inf, -math.inf])
def test_numbers_are_read_back_as_they_were(number: float) -> None:
    assert value(samples_of(Shows((GAUGE, ("", ""), number))), "a_gauge") == number


def test_a_number_that_is_none_is_written_as_such() -> None:
    number = value(samples_of(Shows((GAUGE, ("", ""), math.nan))), "a_gauge")
    assert number is not None
    assert math.isnan(number)


def test_a_series_that_is_added_twice_is_shown_once() -> None:
    assert value(samples_of(Shows((COUNTER, (), 1)), Shows((COUNTER, (), 2))), "a_total") == 2


def test_two_pools_share_the_head_of_a_family() -> None:
    page = page_of(Shows((GAUGE, ("one", ""), 1)), Shows((GAUGE, ("two", ""), 2)))
    assert page.count("# TYPE") == 1
    assert page.count("a_gauge{") == 2


def test_a_large_page_comes_in_pieces() -> None:
    page = Page()
    for number in range(3 * CHUNK_LINES):
        page.add(GAUGE, (str(number), ""), number)
    pieces = list(page.chunks(openmetrics=False))
    assert len(pieces) > 3
    assert max(piece.count(b"\n") for piece in pieces) <= CHUNK_LINES + 1


def test_names_are_declared_once_and_belong_to_us() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    assert all(name.startswith(("llm_d_epp_", "epp_")) for name in names)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_declared_family_can_be_shown(family: Family) -> None:
    number = Histogram(family) if family.kind is Kind.HISTOGRAM else 1
    assert samples_of(Shows((family, tuple("x" for _ in family.labels), number)))

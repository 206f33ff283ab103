import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulator.sequences import Counters, Finish, Histogram

VALUES = {0.0: 0, 1.0: 0, 1.5: 1, 2.0: 1, 2.5: 2}
"""Value: bucket, of the bounds 1 and 2, which belong to their buckets as in Prometheus."""


@pytest.mark.parametrize(("value", "bucket"), VALUES.items())
def test_a_value_is_counted_in_its_bucket(value: float, bucket: int) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(value)
    assert histogram.counts == [int(index == bucket) for index in range(3)]


@given(st.lists(st.sampled_from(sorted(VALUES))))
def test_runs_of_values_are_counted_one_by_one(values: list[float]) -> None:
    histogram = Histogram((1.0, 2.0))
    for value in values:
        histogram.observe(value)
    assert histogram.counts == [sum(1 for value in values if VALUES[value] == bucket) for bucket in range(3)]
    assert histogram.sum == sum(values)


@given(
    st.floats(0.001, 2.0), st.floats(0.0, 0.5), st.integers(0, 20), st.integers(0, 20), st.integers(1, 3), st.booleans()
)
def test_rising_values_are_counted_as_one_by_one(
    least: float, growth: float, first: int, end: int, times: int, shifted: bool
) -> None:
    ends = [0.0]
    for number in range(21):
        ends.append(ends[-1] + least + growth * number + (2.0 if shifted and number > 9 else 0.0))
    bulk, single = Histogram((0.5, 1.0, 2.0, 4.0)), Histogram((0.5, 1.0, 2.0, 4.0))
    bulk.observe_rising(ends.__getitem__, first, end, times)
    for number in range(first, end):
        for _ in range(times):
            single.observe(ends[number + 1] - ends[number])
    assert sum(bulk.counts) == sum(single.counts)
    assert bulk.sum == pytest.approx(single.sum)
    if not growth or least + growth * 20 < 0.5:
        return  # equal values may round to either side of a bound
    assert bulk.counts == single.counts


def test_a_copy_of_counters_does_not_change_with_them() -> None:
    counters = Counters()
    copy = counters.copy()
    counters.prompt_tokens += 1
    counters.finished[Finish.STOP] += 1
    counters.ttft_s.observe(1.0)
    assert (copy.prompt_tokens, copy.finished[Finish.STOP], copy.ttft_s.sum, sum(copy.ttft_s.counts)) == (0, 0, 0.0, 0)

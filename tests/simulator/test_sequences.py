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


def test_a_copy_of_counters_does_not_change_with_them() -> None:
    counters = Counters()
    copy = counters.copy()
    counters.prompt_tokens += 1
    counters.finished[Finish.STOP] += 1
    counters.ttft_s.observe(1.0)
    assert (copy.prompt_tokens, copy.finished[Finish.STOP], copy.ttft_s.sum, sum(copy.ttft_s.counts)) == (0, 0, 0.0, 0)

import math
from dataclasses import dataclass, field, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scheduling.plugins.validation import at_least, key_of, more_than, named, one_of, seconds_of, within

DURATIONS = {
    "0": 0.0,
    "200ms": 0.2,
    "10s": 10.0,
    "1m30s": 90.0,
    "1.5h": 5400.0,
    ".5s": 0.5,
    "1.s": 1.0,
    "+3s": 3.0,
    "-2m": -120.0,
    "100us": 1e-4,
    "100µs": 1e-4,
    "100μs": 1e-4,
    "7ns": 7e-9,
    "1h2m3s4ms": 3723.004,
    "1s1h": 3601.0,
}
"""As Go's time.ParseDuration reads them."""

SHORT = ["", "10", "s", ".", ".s", "1 s", "1d", "-", "--1s", "+-1s", "1s2", "1e3s", "٣s"]
NO_DURATIONS = [*SHORT, "9" * 70 + "s", "9999999999h"]


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert seconds_of("ttl", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ttl is '.*'; it must be a duration such as 500ms, 10s or 1m30s"):
        seconds_of("ttl", text)


@given(st.text(alphabet="0123456789.nuµmsh+-", max_size=80) | st.text())
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    try:
        seconds = seconds_of("ttl", text)
    except ValueError:
        return
    assert math.isfinite(seconds)


def test_keys_are_names_in_camel_case_unless_told_otherwise() -> None:
    @dataclass
    class Parameters:
        label: str
        max_num_of_endpoints: int
        session_id_config: str
        max_ttft_penalty_ms: float = field(metadata=named("maxTTFTPenaltyMs"))

    assert [key_of(one) for one in fields(Parameters)] == [
        "label",
        "maxNumOfEndpoints",
        "sessionIdConfig",
        "maxTTFTPenaltyMs",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1])
def test_what_is_no_number_in_range_is_refused(value: float) -> None:
    for check in (at_least, more_than):
        with pytest.raises(ValueError, match="threshold is"):
            check("threshold", value, 0)
    with pytest.raises(ValueError, match="threshold is"):
        within("threshold", value, 0, 1)


def test_bounds_belong_to_the_range_or_not() -> None:
    at_least("threshold", 0, 0)
    within("threshold", 0, 0, 1)
    within("threshold", 1, 0, 1)
    with pytest.raises(ValueError, match="threshold is 0; it must be more than 0"):
        more_than("threshold", 0, 0)


def test_words_are_named_in_the_message() -> None:
    one_of("mode", "a", ("a", "b"))
    with pytest.raises(ValueError, match="mode is 'c'; it must be a or b"):
        one_of("mode", "c", ("a", "b"))

"""Metric names, and their text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.engines import ENGINES, Series

READ = {
    "vllm:num_requests_running": Series("vllm:num_requests_running"),
    " up ": Series("up"),
    "up{}": Series("up"),
    "nv_trt_llm_request_metrics{request_type=waiting}": Series(
        "nv_trt_llm_request_metrics", (("request_type", "waiting"),)
    ),
    'm{a="x y", b = z}': Series("m", (("a", "x y"), ("b", "z"))),
    'm{a=""}': Series("m", (("a", ""),)),
}

REFUSED = ["", "a b", "1a", "a{", "a}", "a{b}", "a{b=}", "a{b=c}d", "a{=c}", "a{b=c,}", 'a{b="c}', "a\nb", "é"]


@pytest.mark.parametrize(("text", "series"), READ.items(), ids=READ)
def test_a_name_is_read(text: str, series: Series) -> None:
    assert Series.parse(text) == series


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        Series.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_name_that_is_written_alike_or_refused(text: str) -> None:
    try:
        series = Series.parse(text)
    except ValueError:
        return
    assert Series.parse(str(series)) == series


def test_the_engines_are_those_of_the_go_picker() -> None:
    assert set(ENGINES) == {"vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton"}


def test_a_count_of_past_executions_is_not_taken_for_running_requests() -> None:
    assert ENGINES["triton"].running is None

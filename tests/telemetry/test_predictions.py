"""How predictions compare with what replies report. A real router drives."""

from __future__ import annotations

import pytest

from epp.exchange import ReplyView
from epp.telemetry.metrics import RequestMetrics
from tests.router.desk import LONG, Desk, address, chat, sse
from tests.telemetry.samples import samples_of, value

TOKENS = len(LONG) / 4


def compared(**names: float) -> dict[str, float]:
    return {f"epp_{name}": number for name, number in names.items()}


def check(metrics: RequestMetrics, expected: dict[str, float]) -> None:
    samples = samples_of(metrics)
    found = {name: value(samples, name) for name in expected}
    assert found == pytest.approx(expected, rel=0.02)


def test_cached_tokens_are_compared_where_the_reply_reports_them() -> None:
    metrics = RequestMetrics("a")
    desk = Desk(1, observer=metrics)
    for cached in (0, 2000, None):
        exchange, _ = desk.place()
        desk.serve(exchange, prompt=2200, cached=cached)
    predicted = desk.router.decisions[1].decision.placements[0].matched_tokens
    assert predicted > 2100
    check(
        metrics,
        compared(
            predicted_hit_tokens_total=predicted,
            observed_hit_tokens_total=2000,
            compared_prompt_tokens_total=4400,
            hit_prediction_error_ratio_count=2,
            hit_prediction_error_ratio_sum=(predicted - 2000) / 2200,
        ),
    )


def test_an_error_is_at_most_the_whole_prompt() -> None:
    metrics = RequestMetrics("a")
    desk = Desk(1, observer=metrics)
    for prompt, cached in ((100, 0), (100, 0), (0, 0)):
        exchange, _ = desk.place()
        desk.serve(exchange, prompt=prompt, cached=cached)
    check(metrics, compared(hit_prediction_error_ratio_count=2, hit_prediction_error_ratio_sum=1.0))


def test_times_to_first_tokens_are_compared_where_they_are_seen() -> None:
    metrics = RequestMetrics("a")
    desk = Desk(1, observer=metrics)
    exchange, _ = desk.place()
    desk.wait(2 * desk.router.decisions[0].predicted_ttft_s)
    desk.serve(exchange)
    for unseen in (chat(LONG, stream=False), chat(LONG)):
        exchange, _ = desk.place(unseen, view=ReplyView.HEADERS)
        desk.serve(exchange)
    predicted = 0.03 + TOKENS / 8000
    check(
        metrics,
        compared(
            predicted_ttft_seconds_total=predicted,
            observed_ttft_seconds_total=2 * predicted,
            ttft_prediction_ratio_count=1,
            ttft_prediction_ratio_sum=2.0,
        ),
    )


def test_a_reply_of_another_endpoint_says_nothing_about_the_prediction() -> None:
    metrics = RequestMetrics("a")
    desk = Desk(2, observer=metrics)
    exchange, _ = desk.place(subset=(address(1),))
    desk.headers(exchange, served=address(2))
    desk.first(exchange)
    desk.end(exchange, sse({"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 5}}}))
    names = ("compared_prompt_tokens_total", "hit_prediction_error_ratio_count", "ttft_prediction_ratio_count")
    check(metrics, compared(**dict.fromkeys(names, 0)))

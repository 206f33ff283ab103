"""From what the router tells its observer to what the page says. A real router drives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from epp.exchange import BodyState, EndCause
from epp.router import STATUS, ModelRewrite, Phases, Reason, RouterSettings, TargetSettings, WeightedModel
from epp.telemetry.collectors import PoolCollector
from epp.telemetry.metrics import ERROR_CODES, MAX_ATTEMPTS, MAX_ENDPOINTS, MAX_NOTES, MAX_PLUGINS, RequestMetrics
from tests.router.desk import Desk, address, chat, sse
from tests.telemetry.samples import Samples, samples_of, value

Desks = tuple[Desk, RequestMetrics]


def desk_with_metrics(count: int = 2, settings: RouterSettings | None = None, unlisted: int = 10) -> Desks:
    metrics = RequestMetrics("pool-a", unlisted_models=unlisted)
    return Desk(count, settings, observer=metrics), metrics


def read(desk: Desk, metrics: RequestMetrics) -> Samples:
    return samples_of(PoolCollector(desk.router, metrics, lambda: desk.now))


def serve_one(desk: Desk) -> None:
    exchange, _ = desk.place()
    desk.wait(0.5)
    desk.serve(exchange, prompt=2000, cached=500, output=11)


def fail_one(desk: Desk) -> None:
    exchange, _ = desk.place()
    desk.headers(exchange, 500, "application/json")
    desk.end(exchange, b'{"error": {}}')


def fail_within_success(desk: Desk) -> None:
    exchange, _ = desk.place()
    desk.headers(exchange)
    desk.first(exchange)
    desk.end(exchange, sse({"error": {"message": "engine died", "code": 500}}), 1)


def client_error(desk: Desk) -> None:
    exchange, _ = desk.place()
    desk.headers(exchange, 404, "application/json")
    desk.end(exchange, b"{}")


def abort_one(desk: Desk) -> None:
    exchange, _ = desk.place()
    desk.headers(exchange)
    desk.stop(exchange, EndCause.ABORTED)


M = {"model_name": "base", "target_model_name": "base", "inference_pool": "pool-a"}
P = "llm_d_epp_"

Expected = list[tuple[str, dict[str, str], float | None]]
CASES: dict[str, tuple[Callable[[Desk], object], Expected]] = {
    "a placed request is running": (
        lambda desk: desk.place(),
        [
            (P + "request_total", M, 1),
            (P + "request_running", M, 1),
            (P + "request_size_bytes_count", M, 1),
            (P + "request_duration_seconds_count", M, 0),
            (P + "scheduler_attempts_total", {"status": "success", "target_model_name": "base", "port": "8000"}, 1),
            ("epp_decisions_total", {"profile": "default", "note": ""}, 1),
            (P + "inflight_requests", {"inference_pool": "pool-a"}, 1),
            ("epp_ledger_open_charges", {}, 1),
        ],
    ),
    "a served request tells times and tokens": (
        serve_one,
        [
            (P + "request_running", M, 0),
            (P + "request_duration_seconds_sum", M, 0.72),
            (P + "request_ttft_seconds_sum", {**M, "streaming": "true"}, 0.5),
            (P + "request_ntpot_seconds_sum", M, 0.72 / 11),
            (P + "request_streaming_tpot_seconds_sum", M, 0.022),
            (P + "request_input_tokens_sum", M, 2000),
            (P + "request_output_tokens_sum", M, 11),
            (P + "request_cached_tokens_sum", M, 500),
            (P + "request_error_total", {}, None),
            ("epp_upstream_replies_total", {"status": "2xx", "verdict": "good"}, 1),
            ("epp_predicted_hit_tokens_total", {}, 0),
            ("epp_observed_hit_tokens_total", {}, 500),
            ("epp_compared_prompt_tokens_total", {}, 2000),
        ],
    ),
    "a failed reply is the model server's error": (
        fail_one,
        [
            (P + "request_error_total", {**M, "error_code": "ModelServerError"}, 1),
            (P + "request_duration_seconds_count", M, 1),
            ("epp_upstream_replies_total", {"status": "500", "verdict": "failed"}, 1),
        ],
    ),
    "a reply that fails in spite of its status is an error too": (
        fail_within_success,
        [
            (P + "request_error_total", {**M, "error_code": "ModelServerError"}, 1),
            ("epp_upstream_replies_total", {"status": "2xx", "verdict": "failed"}, 1),
        ],
    ),
    "a client's error says nothing about the endpoint": (
        client_error,
        [
            (P + "request_error_total", {**M, "error_code": "ModelServerError"}, 1),
            ("epp_upstream_replies_total", {"status": "4xx", "verdict": "unknown"}, 1),
        ],
    ),
    "an abort has no duration": (
        abort_one,
        [
            (P + "request_running", M, 0),
            (P + "request_duration_seconds_count", M, 0),
            (P + "request_error_total", {}, None),
            ("epp_upstream_replies_total", {"status": "2xx", "verdict": "unknown"}, 1),
        ],
    ),
    "an opaque request has no model and no prefix": (
        lambda desk: desk.place(b"", path="/v2/repository", state=BodyState.ABSENT),
        [
            (P + "request_total", {"model_name": "", "inference_pool": "pool-a"}, 1),
            (P + "prefix_indexer_hit_ratio_count", {}, 0),
        ],
    ),
    "a second request with the same prompt hits": (
        lambda desk: (serve_one(desk), desk.place()),
        [
            (P + "prefix_indexer_hit_ratio_count", {}, 2),
            (P + "prefix_indexer_hit_bytes_bucket", {"le": "0.0"}, 1),
            (P + "prefix_indexer_hit_bytes_sum", {}, 34 * 256),
            (P + "prefix_indexer_size", {"inference_pool": "pool-a"}, 34),
            ("epp_prefix_index_entries", {}, 34),
        ],
    ),
    "a malformed body is refused": (
        lambda desk: desk.ask(b"{"),
        [
            ("epp_rejections_total", {"reason": "rejected-malformed"}, 1),
            (P + "request_error_total", {"error_code": "BadRequest", "model_name": ""}, 1),
            (P + "request_total", {}, None),
            (P + "scheduler_attempts_total", {}, None),
        ],
    ),
    "an empty subset is a failed attempt, and its model is not taken from the client": (
        lambda desk: desk.ask(subset=()),
        [
            ("epp_rejections_total", {"reason": "rejected-no-endpoints"}, 1),
            (P + "request_error_total", {"error_code": "ServiceUnavailable", "model_name": "other"}, 1),
            (P + "scheduler_attempts_total", {"status": "failure", "endpoint_name": ""}, 1),
        ],
    ),
    "a hurried pick is noted": (
        lambda desk: desk.place(hurried=True),
        [("epp_decisions_total", {"note": "overloaded: picked by load alone"}, 1)],
    ),
}


@pytest.mark.parametrize(("does", "expected"), CASES.values(), ids=CASES)
def test_what_happens_shows(does: Callable[[Desk], object], expected: Expected) -> None:
    desk, metrics = desk_with_metrics()
    does(desk)
    samples = read(desk, metrics)
    for name, labels, number in expected:
        found = value(samples, name, **labels)
        assert found == (None if number is None else pytest.approx(number)), name


def test_every_sample_carries_its_pool() -> None:
    desk, metrics = desk_with_metrics()
    serve_one(desk)
    desk.ask(b"{")
    metrics.plugin_failed("scorer", ValueError())
    assert all(dict(labels)["inference_pool"] == "pool-a" for _, labels in read(desk, metrics))


def test_a_rewrite_is_counted_with_both_names_and_takes_no_room_for_unknown_ones() -> None:
    rules = (ModelRewrite((WeightedModel("v2"),), ("alias",)),)
    desk, metrics = desk_with_metrics(settings=RouterSettings(targets=TargetSettings(rewrites=rules)), unlisted=0)
    collector = PoolCollector(desk.router, metrics, lambda: desk.now)
    desk.place(chat(model="alias"))
    samples = samples_of(collector)
    assert value(samples, P + "model_rewrite_decisions_total", model_name="alias", target_model="v2") == 1
    assert value(samples, P + "request_total", model_name="alias", target_model_name="v2") == 1


def test_a_request_ends_in_the_series_in_which_it_began() -> None:
    desk, metrics = desk_with_metrics(unlisted=0)
    exchange, _ = desk.place()
    collector = PoolCollector(desk.router, metrics, lambda: desk.now)
    desk.models(1, "base")
    desk.models(2, "base")
    desk.serve(exchange)
    desk.place()
    samples = samples_of(collector)
    assert value(samples, P + "request_running", model_name="other") == 0
    assert value(samples, P + "request_running", model_name="base") == 1


def test_series_of_an_endpoint_end_when_it_leaves() -> None:
    desk, metrics = desk_with_metrics(1)
    serve_one(desk)
    assert value(read(desk, metrics), "epp_upstream_replies_total", endpoint=address(1)) == 1
    desk.endpoints(2)
    samples = read(desk, metrics)
    assert value(samples, "epp_upstream_replies_total") is None
    assert value(samples, P + "scheduler_attempts_total") is None
    assert value(samples, P + "request_total", **M) == 1
    assert metrics.endpoints == {}


def test_a_reply_is_counted_where_it_was_served() -> None:
    desk, metrics = desk_with_metrics()
    exchange, picked = desk.place()
    other = next(one for one in (address(1), address(2)) if one != picked)
    desk.headers(exchange, served=other)
    desk.first(exchange)
    desk.end(exchange, sse({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}), 1)
    assert value(read(desk, metrics), "epp_upstream_replies_total", endpoint=other) == 1


def test_plugins_are_counted_by_name() -> None:
    desk, metrics = desk_with_metrics()
    metrics.plugin_failed("a", ValueError())
    metrics.plugin_slow("a", 0.1, switched_off=False)
    metrics.plugin_slow("a", 0.1, switched_off=True)
    samples = read(desk, metrics)
    assert value(samples, "epp_plugin_failures_total", plugin="a") == 1
    assert value(samples, "epp_plugin_slow_calls_total", plugin="a") == 2
    assert value(samples, "epp_plugin_switched_off_total", plugin="a") == 1


def test_what_is_counted_by_name_is_bounded_while_nobody_scrapes() -> None:
    desk, metrics = desk_with_metrics()
    desk.place()
    record = desk.router.decisions[0]
    for number in range(MAX_PLUGINS + 5):
        metrics.plugin_failed(f"plugin {number}", ValueError())
    for number in range(MAX_NOTES + 5):
        record.decision.trace.note = f"note {number}"
        metrics.placed(record, Phases(0, 0, 0, 0))
    samples = read(desk, metrics)
    assert value(samples, "epp_plugin_failures_total", plugin="other") == 5
    assert value(samples, "epp_decisions_total", note="other") == 6
    for number in range(MAX_ENDPOINTS + 5):
        metrics._first_attempt(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:80", "base")
    assert len(metrics.endpoints) == MAX_ENDPOINTS
    assert metrics._attempts == sum(len(counts.placed) for counts in metrics.endpoints.values())


def test_models_per_endpoint_are_bounded() -> None:
    metrics = RequestMetrics("pool-a")
    for number in range(MAX_ATTEMPTS + 5):
        metrics._first_attempt(address(1), f"model {number}")
    assert metrics.endpoints[address(1)].placed["other"] == 5


def test_an_end_without_a_beginning_is_passed_over() -> None:
    desk, _ = desk_with_metrics()
    exchange, _ = desk.place()
    later = RequestMetrics("pool-a")
    desk.router.observer = later
    desk.serve(exchange)
    assert value(read(desk, later), P + "request_running") is None


def test_every_reason_has_a_code() -> None:
    assert {STATUS[reason] for reason in Reason} <= set(ERROR_CODES)

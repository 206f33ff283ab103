import logging

import pytest

from epp.exchange import EndCause
from epp.router import NullObserver, Phases, Reason, RouterObserver
from epp.telemetry.faults import FaultLog
from epp.telemetry.log_observer import RequestLog, StreamLog
from epp.telemetry.metrics import RequestMetrics
from epp.telemetry.observers import ObserverFaults, RouterObservers, StreamObserver, StreamObservers
from epp.telemetry.stream_metrics import StreamMetrics
from tests.router.desk import Desk
from tests.telemetry.samples import samples_of, value


class Broken(NullObserver):
    def placed(self, *_: object, **__: object) -> None:
        raise RuntimeError("broken")

    rejected = finished = plugin_failed = plugin_slow = placed  # type: ignore[assignment]


class BrokenStreams:
    def began(self) -> None:
        raise RuntimeError("broken")

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        raise RuntimeError("broken")

    def proxy_fault(self, error: Exception) -> None:
        raise RuntimeError("broken")

    internal_error = proxy_fault


def faults() -> ObserverFaults:
    return ObserverFaults(FaultLog(logging.getLogger("epp.test"), lambda: 0.0))


def test_a_broken_observer_fails_no_request_and_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    metrics, guard = RequestMetrics("a"), faults()
    desk = Desk(2, observer=RouterObservers([Broken(), metrics], guard))
    exchange, _ = desk.place()
    desk.serve(exchange)
    desk.ask(b"{")
    samples = samples_of(metrics, guard)
    assert value(samples, "llm_d_epp_request_total") == 1
    assert value(samples, "epp_rejections_total") == 1
    assert value(samples, "epp_observer_faults_total", observer="Broken") == 3
    assert [one.getMessage() for one in caplog.records] == ["an observer failed"]


def test_plugins_reach_all_observers() -> None:
    metrics, guard = RequestMetrics("a"), faults()
    observers = RouterObservers([Broken(), metrics], guard)
    observers.plugin_failed("x", ValueError())
    observers.plugin_slow("x", 1.0, switched_off=True)
    samples = samples_of(metrics, guard)
    assert value(samples, "epp_plugin_failures_total") == value(samples, "epp_plugin_switched_off_total") == 1
    assert value(samples, "epp_observer_faults_total") == 2


def test_streams_reach_all_observers() -> None:
    metrics, guard = StreamMetrics("a", lambda: 0), faults()
    observers = StreamObservers([BrokenStreams(), metrics], guard)
    observers.began()
    observers.ended(EndCause.COMPLETE, 1.0, 2, request_mode="duplex", reply_mode="duplex")
    observers.proxy_fault(ValueError())
    observers.internal_error(ValueError())
    samples = samples_of(metrics, guard)
    assert value(samples, "epp_observer_faults_total") == 4
    assert value(samples, "epp_reply_chunks_total") == 2
    assert value(samples, "epp_proxy_faults_total") == value(samples, "epp_internal_errors_total") == 1


def request_log(pool: str = "a") -> RouterObserver:
    logger = logging.getLogger("epp.requests")
    return RequestLog(pool, logger, FaultLog(logger, lambda: 0.0))


def stream_log(pool: str = "a") -> StreamObserver:
    return StreamLog(pool, FaultLog(logging.getLogger("epp.streams"), lambda: 0.0))


def test_requests_are_logged_at_debug_level_with_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "epp")
    desk = Desk(2, observer=request_log())
    exchange, endpoint = desk.place(headers={"x-request-id": "abc", "authorization": "Bearer secret"})
    desk.serve(exchange, prompt=900, cached=100, output=5)
    desk.ask(b"{", headers={"x-request-id": "def"})
    placed, finished, refused = (vars(one) for one in caplog.records)
    for one in (placed, finished):
        assert (one["request_id"], one["decision_id"], one["pool"]) == ("abc", "epp-1", "a")
        assert one["endpoint"] == endpoint
    assert placed["operation"] == "chat_completions"
    assert (finished["status"], finished["verdict"], finished["cached_tokens"]) == (200, "good", 100)
    assert (refused["msg"], refused["reason"], refused["request_id"]) == (
        "request refused",
        "rejected-malformed",
        "def",
    )
    assert "secret" not in caplog.text
    assert "quick brown fox" not in str([vars(one) for one in caplog.records])


def test_above_debug_level_there_is_no_line_per_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "epp")
    desk = Desk(2, observer=request_log())
    exchange, _ = desk.place()
    desk.serve(exchange)
    desk.ask(b"{")
    assert caplog.records == []


def test_faults_of_plugins_are_logged_once_per_kind(caplog: pytest.LogCaptureFixture) -> None:
    log = request_log()
    for _ in range(3):
        log.plugin_failed("x", ValueError("no"))
        log.plugin_failed("y", ValueError("no"))
        log.plugin_slow("x", 0.1, switched_off=False)
    log.plugin_slow("x", 0.1, switched_off=True)
    assert [(vars(one)["plugin"], one.getMessage()) for one in caplog.records] == [
        ("x", "a plugin failed and was neutral"),
        ("y", "a plugin failed and was neutral"),
        ("x", "a plugin took longer than it may and was neutral"),
        ("x", "a plugin was slow again and again and is switched off"),
    ]


def test_faults_of_streams_are_logged_once_per_kind(caplog: pytest.LogCaptureFixture) -> None:
    log = stream_log()
    log.began()
    log.ended(EndCause.COMPLETE, 1.0, 1, request_mode="duplex", reply_mode="duplex")
    for _ in range(2):
        log.proxy_fault(ValueError("body before headers"))
        log.internal_error(KeyError("x"))
    assert [(one.levelname, one.getMessage(), bool(one.exc_info)) for one in caplog.records] == [
        ("WARNING", "the proxy broke the ext-proc protocol", False),
        ("ERROR", "a request failed here", True),
    ]


def test_observers_fit_the_router_and_reasons() -> None:
    observers: RouterObserver = RouterObservers([NullObserver()], faults())
    observers.rejected(Reason.MALFORMED, "m", 1, "")
    desk = Desk(1, observer=NullObserver())
    desk.place()
    observers.placed(desk.router.decisions[0], Phases(0, 0, 0, 0))

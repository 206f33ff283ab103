import pytest

from epp.exchange import EndCause
from epp.telemetry.stream_metrics import StreamMetrics
from tests.telemetry.samples import samples_of, value

P = "llm_d_epp_extproc_stream"


@pytest.mark.parametrize("cause", EndCause)
def test_an_end_is_counted_by_its_cause_and_code(cause: EndCause) -> None:
    metrics = StreamMetrics("pool-a", lambda: 3)
    metrics.began()
    metrics.ended(cause, 2.0, 7, request_mode="duplex", reply_mode="lean")
    samples = samples_of(metrics)
    canceled = cause is EndCause.ABORTED
    assert value(samples, "epp_exchange_ends_total", cause=cause.value) == 1
    assert value(samples, "epp_exchange_ends_total") == 1
    assert value(samples, "epp_exchanges_total", request_mode="duplex", reply_mode="lean") == 1
    assert value(samples, P + "s_total", code="Canceled", inference_pool="pool-a") == canceled
    assert value(samples, P + "s_total", code="OK", inference_pool="pool-a") == (not canceled)
    assert value(samples, P + "_duration_seconds_sum") == 2.0
    assert value(samples, P + "s_inflight", inference_pool="pool-a") == 3
    assert value(samples, "epp_reply_chunks_total") == 7


def test_faults_are_counted_by_whose_they_are() -> None:
    metrics = StreamMetrics("pool-a", lambda: 0)
    metrics.proxy_fault(ValueError())
    metrics.internal_error(ValueError())
    metrics.internal_error(ValueError())
    samples = samples_of(metrics)
    assert value(samples, "epp_proxy_faults_total") == 1
    assert value(samples, "epp_internal_errors_total") == 2

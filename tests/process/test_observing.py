"""What is joined to look at a process: metrics of all its parts, and traces when they are asked for."""

import io

import pytest

from epp.config import load
from epp.process import PickerProcess, StartError
from tests.process.picking import flags_of, logging_to, running_picker

METRICS = {
    "of requests": "llm_d_epp_request_total",
    "of the transport": "llm_d_epp_extproc_streams_total",
    "of the pool": "epp_endpoints",
    "of the scraper": "epp_endpoint_probe_errors_total",
    "of reloads": "epp_config_last_reload_successful",
    "of the event loop": "epp_event_loop_lag_seconds",
    "of bodies": "epp_body_bytes_in_flight",
}


async def test_metrics_of_all_parts_are_on_the_page() -> None:
    async with running_picker(pool_name="mine") as picker:
        await picker.process.wait_ready()
        await picker.pick()
        page = await picker.page("/metrics")
    names = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
    assert set(METRICS.values()) <= names
    assert 'inference_pool="mine"' in page


async def test_traces_that_cannot_be_made_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    flags = flags_of(endpoint=("127.0.0.1:1",))
    logs = logging_to(io.StringIO())
    try:
        with pytest.raises(StartError, match="OTEL_TRACES_EXPORTER is 'jaeger'"):
            PickerProcess(load(flags, {}), flags, logs)
    finally:
        logs.stop()

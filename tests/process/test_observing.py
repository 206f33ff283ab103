"""What is joined to look at a process: metrics of all its parts; traces and a decision log when they are asked for."""

import io
from pathlib import Path

import pytest

from epp.config import load
from epp.decision_lines import LoggedDecision, decode_line
from epp.process import PickerProcess, StartError
from tests.process.picking import NOWHERE, Picker, flags_of, logging_to, running_picker, until

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


def lines_of(path: Path) -> list[LoggedDecision]:
    return [decode_line(line) for line in path.read_bytes().splitlines()]


async def serve_one(picker: Picker) -> None:
    proxy = picker.proxy()
    await proxy.ask(b'{"model": "m", "prompt": "' + b"tell nobody " * 400 + b'"}', x_request_id="abc")
    await proxy.reply()
    await proxy.ended()


async def test_requests_are_written_to_the_decision_log_while_it_runs_and_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    async with running_picker(decision_log=str(path), pool_name="mine") as picker:
        await picker.process.wait_ready()
        await serve_one(picker)
        await until(lambda: len(lines_of(path)) == 1)
        assert not await picker.pick(b"{")
        await until(lambda: len(lines_of(path)) == 2)
        assert await picker.metric('epp_decision_log_lines_total{result="written"}') == 2
        under_way = picker.proxy()
        await under_way.ask(b'{"model": "m", "prompt": "hello"}')
    served, refused, cut = lines_of(path)
    assert (served.pool, served.model, served.status, served.block_count) == ("mine", "m", 200, 18)
    assert {one.endpoint for one in served.why} == set(NOWHERE)
    assert (refused.rejected, refused.status) == ("rejected-malformed", 400)
    assert (cut.model, cut.verdict, cut.id) == ("m", "unknown", f"{served.id.partition('-')[0]}-2")
    assert not [word for word in (b"tell", b"hello", b"abc") if word in path.read_bytes()]


async def test_without_a_decision_log_nothing_is_done_for_it() -> None:
    async with running_picker() as picker:
        await picker.process.wait_ready()
        await serve_one(picker)
        assert picker.process._observing.decisions is None
        assert "epp_decision_log" not in await picker.page("/metrics")
        (record,) = picker.process.router.decisions
        assert record.chain == b""


@pytest.mark.parametrize(
    ("place", "reason"),
    [("none/decisions.jsonl", "No such file or directory"), ("", "Is a directory")],
    ids=["no folder", "a folder"],
)
async def test_a_decision_log_that_cannot_be_written_ends_the_start(tmp_path: Path, place: str, reason: str) -> None:
    path = tmp_path / place
    with pytest.raises(StartError, match=rf"decision log: {path}: cannot be written \({reason}\): .*--decision-log"):
        async with running_picker(decision_log=str(path)):
            pass

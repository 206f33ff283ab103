"""`epp serve` as a process."""

import json
import signal
import stat
import urllib.request
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from epp.decision_lines import decode_line
from epp.extproc import wire_pb2 as wire
from epp.protocol import EXT_PROC_SERVICE
from tests.commands.running import epp, plain, run, terminal

SERVING = health_pb2.HealthCheckResponse.SERVING

PORTS = ("--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", "--bind=127.0.0.1")
PLAIN = ("--endpoint=127.0.0.1:1", "--secure-serving=false", *PORTS)
GO_FILE = Path(__file__).parents[1] / "data" / "llm-d" / "file-discovery.yaml"


def health(port: int, name: str) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=30).status)


def pick(channel: grpc.Channel, body: bytes) -> bytes:
    """The answer to a request, after which the proxy gives up."""
    headers, whole = wire.ProcessingRequest(), wire.ProcessingRequest()
    for name, value in ((":path", "/v1/completions"), ("content-type", "application/json")):
        header = headers.request_headers.headers.headers.add()
        header.key, header.raw_value = name.encode(), value.encode()
    headers.protocol_config.request_body_mode = wire.FULL_DUPLEX_STREAMED
    whole.request_body.body, whole.request_body.end_of_stream = body, True
    messages = (message.SerializeToString() for message in (headers, whole))
    call = channel.stream_stream(f"/{EXT_PROC_SERVICE}/Process")(messages, timeout=30)
    return bytes(next(call))


def test_the_go_pickers_flags_and_file_start_it_and_sigterm_ends_it(tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.yaml"
    endpoints.write_text("endpoints:\n- {name: vllm-0, address: 127.0.0.1, port: 1}\n")
    config = tmp_path / "config.yaml"
    config.write_text(GO_FILE.read_text().replace("/etc/llm-d/endpoints.yaml", str(endpoints)))
    go_flags = ("--pool-name", "x", "--pool-namespace", "ns", "--config-file", str(config), "--zap-encoder", "json")
    with epp(*go_flags, "-v", "4", "--secure-serving=false", "--drain-timeout", "6s", *PORTS) as picker:
        served = picker.wait_for("serving")
        assert (served["pool"], served["transport"], served["tls"]) == ("x", "grpcio", False)
        picker.wait_for("ready")
        names = ("", "liveness", "readiness", "inference-extension")
        assert {health(served["health_port"], name) for name in names} == {SERVING}
        with urllib.request.urlopen(f"http://127.0.0.1:{served['metrics_port']}/healthz", timeout=30) as answer:
            assert answer.read() == b"ok\n"
        picker.signal(signal.SIGHUP)
        picker.wait_for("configuration taken")
        config.write_text("kind: [")
        picker.wait_for("configuration refused, the one in use stays")
        picker.signal(signal.SIGTERM)
        picker.wait_for("draining")
        assert health(served["health_port"], "readiness") != SERVING
        assert health(served["health_port"], "liveness") == SERVING
        assert picker.wait() == 0
        assert picker.said("stopped")
        assert picker.out == ""


def test_sigterm_leaves_a_whole_decision_log(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    body = json.dumps({"model": "m", "prompt": "tell nobody " * 100}).encode()
    with epp("serve", *PLAIN, "--decision-log", str(path)) as picker:
        port = picker.wait_for("serving")["extproc_port"]
        picker.wait_for("ready")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for _ in range(3):
                assert b"127.0.0.1:1" in pick(channel, body)
        picker.signal(signal.SIGTERM)
        assert picker.wait() == 0
    lines = [decode_line(line) for line in path.read_bytes().splitlines()]
    assert [(line.model, line.endpoint, line.block_count) for line in lines] == [("m", "127.0.0.1:1", 4)] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"nobody" not in path.read_bytes()


def test_a_second_signal_ends_it_at_once() -> None:
    with epp(*PLAIN, "--drain-timeout=120s") as picker:
        picker.wait_for("ready")
        picker.signal(signal.SIGTERM)
        picker.wait_for("draining")
        picker.signal(signal.SIGINT)
        assert picker.wait() == 128 + signal.SIGINT
        assert "Traceback" not in picker.err


def test_in_a_terminal_the_log_is_for_people_and_ctrl_c_ends_it() -> None:
    with terminal("serve", *PLAIN) as picker:
        picker.until(lambda: "ready" in picker.out)
        picker.signal(signal.SIGINT)
        assert picker.wait() == 0
        text = plain(picker.out)
        assert not any(line.startswith("{") for line in text.splitlines())
        assert "serving" in text
        assert "extproc_port=" in text


def test_what_keeps_it_from_starting_is_said() -> None:
    done = run("--endpoints-file=none.yaml", "--secure-serving=false", *PORTS)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "epp: none.yaml: cannot be read (No such file or directory): correct the path or its permissions"
    )
    assert "Traceback" not in done.stderr

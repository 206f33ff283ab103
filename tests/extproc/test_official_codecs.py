"""What we write is read by Envoy's official generated code, and by envoy-data-plane, as we mean it; and back."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingRequest as OtherRequest
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingResponse as OtherResponse
from google.protobuf.json_format import MessageToDict

from epp.exchange import ReplyHeaders, RequestReady
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings
from tests.extproc.test_transcripts import TRANSCRIPTS
from tests.extproc.transcript import MemoryDriver, play

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-codec" / "bin" / "python"


class Codec:
    """The official code at the other end of a pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, **question: object) -> dict:  # type: ignore[type-arg]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def decode(self, message: str, data: bytes) -> dict:  # type: ignore[type-arg]
        return self._ask(message=message, wire=base64.b64encode(data).decode())["json"]

    def encode(self, message: str, fields: dict) -> bytes:  # type: ignore[type-arg]
        return base64.b64decode(self._ask(message=message, json=fields)["wire"])


@pytest.fixture(scope="module")
def official() -> Iterator[Codec]:
    if not PYTHON.exists():
        pytest.skip("the environment with the official generated code is not there: run 'make env'")
    script = Path(__file__).with_name("official_codec.py")
    with subprocess.Popen([PYTHON, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Codec(process)
        process.stdin.close()  # type: ignore[union-attr]


def written() -> list[wire.ProcessingResponse]:
    """Everything that the transcripts make us write."""
    responses: list[wire.ProcessingResponse] = []

    class Keeping(MemoryDriver):
        def _handle(self, steps: list) -> None:  # type: ignore[type-arg]
            responses.extend(step for step in steps if isinstance(step, wire.ProcessingResponse))
            super()._handle(steps)

    for script in TRANSCRIPTS.values():
        play(Keeping(), script)
    return responses


def test_envoys_own_code_reads_what_we_write(official: Codec) -> None:
    responses = written()
    assert len(responses) > 100
    for response in responses:
        ours = MessageToDict(response, preserving_proto_field_name=True)
        theirs = official.decode("ProcessingResponse", response.SerializeToString())
        assert _keys_as_text(ours) == theirs


def test_envoy_data_plane_reads_what_we_write_and_loses_nothing() -> None:
    for response in written():
        data = response.SerializeToString()
        again = wire.ProcessingResponse.FromString(bytes(OtherResponse.parse(data)))
        assert again == response


def _keys_as_text(fields: object) -> object:
    """Our header keys are bytes, so JSON shows them in base64; Envoy's are strings."""
    if isinstance(fields, list):
        return [_keys_as_text(one) for one in fields]
    if not isinstance(fields, dict):
        return fields
    return {
        name: base64.b64decode(value).decode() if name == "key" and isinstance(value, str) else _keys_as_text(value)
        for name, value in fields.items()
    }


HEADERS = [
    {"key": ":path", "raw_value": base64.b64encode(b"/v1/chat/completions").decode()},
    {"key": "x-old", "value": "in value"},
    {"key": "x-bytes", "raw_value": base64.b64encode(b"\xff\xfe").decode()},
]
REQUEST_HEADERS = {
    "request_headers": {"headers": {"headers": HEADERS}, "end_of_stream": False},
    "protocol_config": {"request_body_mode": "FULL_DUPLEX_STREAMED", "response_body_mode": "NONE"},
    "metadata_context": {
        "filter_metadata": {
            "envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": ["10.0.0.7:8000", "10.0.0.8:8000"]},
            "other": {"deep": {"list": [1, None, {"x": True}]}},
        },
        "typed_filter_metadata": {"t": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
    },
    "attributes": {"envoy.filters.http.ext_proc": {"request.id": "abc"}},
}


def test_we_read_what_envoys_own_code_writes_and_pass_over_what_we_do_not_know(official: Codec) -> None:
    exchange = Exchange(ExchangeSettings(), BodyBudget(1 << 20))

    def feed(fields: dict) -> list:  # type: ignore[type-arg]
        return exchange.receive(wire.ProcessingRequest.FromString(official.encode("ProcessingRequest", fields)))

    assert feed(REQUEST_HEADERS) == []
    body = base64.b64encode(b'{"model":"m"}').decode()
    (ready,) = feed({"request_body": {"body": body, "end_of_stream": True, "grpc_message_compressed": True}})
    assert isinstance(ready, RequestReady)
    assert ready.body == b'{"model":"m"}'
    assert ready.subset == ("10.0.0.7:8000", "10.0.0.8:8000")
    assert (ready.headers.get(":path"), ready.headers.get("x-old")) == ("/v1/chat/completions", "in value")
    assert ready.headers.get("x-bytes") == "\udcff\udcfe"
    status = [{"key": ":status", "raw_value": base64.b64encode(b"200").decode()}]
    (event,) = feed({"response_headers": {"headers": {"headers": status}}})
    assert event == ReplyHeaders(200)


def test_we_read_what_envoy_data_plane_writes() -> None:
    official_shape = OtherRequest.from_dict(
        {
            "requestBody": {"body": base64.b64encode(b"abc").decode(), "endOfStream": True},
            "protocolConfig": {"requestBodyMode": "BUFFERED", "responseBodyMode": "STREAMED"},
        }
    )
    request = wire.ProcessingRequest.FromString(bytes(official_shape))
    assert (request.request_body.body, request.request_body.end_of_stream) == (b"abc", True)
    assert request.protocol_config.request_body_mode == wire.BUFFERED
    assert request.protocol_config.response_body_mode == wire.STREAMED


def test_official_code_can_live_in_the_same_process() -> None:
    """Our messages have a package and a file name of their own, so that no descriptor is defined twice."""
    assert wire.DESCRIPTOR.package == "epp.extproc"
    assert wire.DESCRIPTOR.name == "epp/extproc/wire.proto"

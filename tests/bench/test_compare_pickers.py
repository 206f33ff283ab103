"""Pickers by command line, and what they find in the place of placeholders."""

from __future__ import annotations

import json

import pytest

from bench.compare.pickers import PLACEHOLDERS, PickerSpec, endpoints_file_text, our_command, parse_picker
from epp.discovery.endpoint_file import parse_endpoint_file

VALUES = {name: f"/tmp/a b/{name}" for name in PLACEHOLDERS}
GO = "go=/opt/epp --config-file {config} --grpc-port={port} --metrics-port {metrics_port} --secure-serving=false"


def test_a_command_with_its_configuration() -> None:
    spec = parse_picker(GO, {"go": "plugins: [{path: '{endpoints_file}'}]"})
    assert spec.name == "go"
    assert spec.arguments(VALUES) == [
        "/opt/epp",
        "--config-file",
        "/tmp/a b/config",
        "--grpc-port=/tmp/a b/port",
        "--metrics-port",
        "/tmp/a b/metrics_port",
        "--secure-serving=false",
    ]
    assert spec.config_text(VALUES) == "plugins: [{path: '/tmp/a b/endpoints_file'}]"


def test_braces_that_are_no_placeholders_stay() -> None:
    spec = PickerSpec("p", "run '{\"a\": {}}' {port}", "{other} {port}")
    assert spec.arguments(VALUES) == ["run", '{"a": {}}', "/tmp/a b/port"]
    assert spec.config_text(VALUES) == "{other} {port}"


REFUSED = {
    "no name": ("/opt/epp {port}", {}, "write it like"),
    "an empty name": ("=/opt/epp {port}", {}, "write it like"),
    "no command": ("go= ", {}, "write it like"),
    "a quote without end": ("go=/opt/epp '{port}", {}, "No closing quotation"),
    "no port": ("go=/opt/epp {endpoints_file}", {}, "{port} is missing"),
    "a configuration that is not given": (GO, {}, "--config go=FILE"),
    "no pods": (GO, {"go": "plugins: []"}, "{endpoints_file}"),
}


@pytest.mark.parametrize(("text", "configs", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused(text: str, configs: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_picker(text, configs)
    assert says in str(caught.value)


def test_our_command_has_every_placeholder() -> None:
    words = PickerSpec("ours", our_command("/opt/my env/bin/epp")).arguments(VALUES)
    assert words[:2] == ["/opt/my env/bin/epp", "serve"]
    assert set(VALUES.values()) <= set(words)


def test_pickers_read_the_file_of_endpoints() -> None:
    text = endpoints_file_text(["127.0.0.1:8000", "127.0.0.1:8001", "[::1]:9"])
    assert json.loads(text)["endpoints"][1] == {"name": "pod-1", "address": "127.0.0.1", "port": "8001"}
    file = parse_endpoint_file(text.encode(), "endpoints.yaml")
    assert not file.problems
    assert len(file.targets) == 3

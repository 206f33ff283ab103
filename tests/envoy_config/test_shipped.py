"""The files in deploy/envoy: real Envoy takes them, and they are what we would generate."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.envoy import (
    EnvoySettings,
    Observation,
    PickerTls,
    Routing,
    as_json,
    as_yaml,
    build_bootstrap,
    find_envoy,
    notes,
)
from epp.envoy.bootstrap import Bootstrap
from epp.scheduling.pickers import RendezvousPicker

DEPLOY = Path(__file__).parents[2] / "deploy" / "envoy"

EDGE: dict[str, Any] = {"listener_address": "0.0.0.0"}

SHIPPED = {
    "original-destination": EnvoySettings(**EDGE),
    "lean": EnvoySettings(observation=Observation.LEAN, **EDGE),
    "override-host": EnvoySettings(
        routing=Routing.OVERRIDE_HOST,
        endpoints=("127.0.0.1:8000", "127.0.0.1:8001"),
        max_destinations=RendezvousPicker().max_num_of_endpoints,
        fail_open=True,
        **EDGE,
    ),
}


def validate(path: Path) -> None:
    """Asks Envoy; what it says is the message of the failure."""
    command = [find_envoy(), "--mode", "validate", "--config-path", path, "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_every_shipped_file_is_known_here() -> None:
    assert {path.stem for path in DEPLOY.glob("*.yaml")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_what_is_generated_for_its_settings(name: str) -> None:
    shipped = Bootstrap.from_dict(yaml.safe_load((DEPLOY / f"{name}.yaml").read_text()))
    assert shipped.static_resources is not None
    listener = shipped.static_resources.listeners[0]
    assert listener.enable_reuse_port, "an edge has a machine to itself, and a worker thread per core"
    listener.enable_reuse_port = False
    assert shipped.to_dict() == build_bootstrap(SHIPPED[name]).to_dict()


def test_the_shipped_file_tells_how_a_second_destination_is_had() -> None:
    lines = (DEPLOY / "override-host.yaml").read_text().splitlines()
    hint = next(index for index, line in enumerate(lines) if "maxNumOfEndpoints: 2" in line)
    with_retries = [re.sub(r"# (retry_policy|request_body_buffer_limit)", r"\1", line) for line in lines[hint:]]
    shipped = Bootstrap.from_dict(yaml.safe_load("\n".join([*lines[:hint], *with_retries])))
    assert shipped.static_resources is not None
    shipped.static_resources.listeners[0].enable_reuse_port = False
    settings = replace(SHIPPED["override-host"], max_destinations=2)
    assert shipped.to_dict() == build_bootstrap(settings).to_dict()


@pytest.mark.envoy
@pytest.mark.parametrize("name", SHIPPED)
def test_envoy_takes_a_shipped_file(name: str) -> None:
    validate(DEPLOY / f"{name}.yaml")


TRANSPORTS = ("h2c", "tls", "tls-verified")


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("routing", "observation", "transport"),
    list(product(Routing, Observation, TRANSPORTS)),
    ids=lambda value: value if isinstance(value, str) else value.value,
)
def test_envoy_takes_what_is_generated(
    routing: Routing, observation: Observation, transport: str, certificate: Any, tmp_path: Path
) -> None:
    tls = {"h2c": None, "tls": PickerTls(), "tls-verified": PickerTls(ca_file=str(certificate.file))}[transport]
    known: dict[str, Any] = {"endpoints": ("10.0.0.1:8000", "[fd00::1]:8000"), "max_destinations": 3, "fail_open": True}
    settings = EnvoySettings(
        routing=routing,
        observation=observation,
        picker_tls=tls,
        access_log="/dev/stdout",
        subset_hint=("10.0.0.1:8000",),
        **(known if routing is Routing.OVERRIDE_HOST else {}),
    )
    (tmp_path / "envoy.yaml").write_text(as_yaml(build_bootstrap(settings), notes(settings)))
    validate(tmp_path / "envoy.yaml")


@pytest.mark.envoy
def test_envoy_takes_json_and_a_picker_by_name(tmp_path: Path) -> None:
    (tmp_path / "envoy.json").write_text(as_json(build_bootstrap(EnvoySettings(picker_address="picker.example"))))
    validate(tmp_path / "envoy.json")

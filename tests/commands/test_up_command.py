"""`epp up`: what it refuses, what it prints, and a whole life with a real Envoy."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from epp.envoy import find_envoy
from epp.process.addresses import listen
from tests.commands.invoking import invoke
from tests.commands.running import epp

PORTS = ("--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", "--admin-port=0")
OURS = f"127.{1 + (os.getpid() >> 16) % 250}.{(os.getpid() >> 8) & 255}.{1 + (os.getpid() & 255) % 254}"
"""A loopback address that no other test process uses, so that a port stays free."""

LIST_OF_3 = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- {type: max-score-picker, parameters: {maxNumOfEndpoints: 3}}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: queue-scorer}, {pluginRef: max-score-picker}]
epp:
  endpoints: {static: ["10.0.0.1:8000", "[fd00::1]:8000"]}
"""


@pytest.fixture
def list_of_3(tmp_path: Path) -> str:
    file = tmp_path / "epp.yaml"
    file.write_text(LIST_OF_3)
    return str(file)


# what is printed and refused


def test_a_list_of_destinations_becomes_retries(list_of_3: str, tmp_path: Path) -> None:
    result = invoke("up", "--config-file", list_of_3, "--routing=override-host", "--print")
    assert result.exit_code == 0
    assert "num_retries: 2" in result.stdout
    assert "address: fd00::1" in result.stdout
    printed = tmp_path / "envoy.yaml"
    printed.write_text(result.stdout)
    subprocess.run([find_envoy(), "--mode", "validate", "-c", printed], check=True, capture_output=True, timeout=60)


def test_without_endpoints_the_configuration_can_be_printed() -> None:
    result = invoke("up", "--print", "--listen=[::1]:8080", "--replies=lean")
    assert (result.exit_code, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout)["static_resources"]["listeners"]


REFUSED = {
    "a list for one address": (("--config-file=LIST",), "maxNumOfEndpoints is 3: Envoy takes a list with --routing"),
    "names": (("gpu1:8000", "--routing=override-host"), "needs IP addresses that stay, and gpu1 is a name"),
    "services": (("--config-file=SRV", "--routing=override-host"), "and _vllm._tcp.x is a name"),
    "a service on the command line": (
        ("_vllm._tcp.x",),
        "_vllm._tcp.x is a DNS service: list it under epp.endpoints.srv",
    ),
    "a file": (("--config-file=FILE", "--routing=override-host"), "and endpoints.yaml may change: use HOST:PORT"),
    "no endpoints": (("--routing=override-host", "--print"), "override-host needs endpoints"),
    "nowhere to fail to": (("10.0.0.1:80", "--fail-open"), "fail_open needs override-host"),
    "no port to print": (("--print", "--grpc-port=0"), "--print needs a --grpc-port"),
    "no health port to print": (
        ("10.0.0.1:80", "--routing=override-host", "--fail-open", "--print", "--grpc-health-port=0"),
        "--fail-open needs a --grpc-health-port",
    ),
}


@pytest.mark.parametrize(("args", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_said(args: tuple[str, ...], text: str, list_of_3: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("epp: {endpoints: {file: {path: endpoints.yaml}}}")
    services = tmp_path / "services.yaml"
    services.write_text("epp: {endpoints: {srv: [_vllm._tcp.x]}}")
    files = {"LIST": list_of_3, "FILE": str(file), "SRV": str(services)}
    result = invoke("up", *(re.sub("LIST|FILE|SRV", lambda found: files[found[0]], arg) for arg in args))
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr


@pytest.mark.parametrize("option", ["--listen", "--admin-port", "--metrics-port", "--grpc-port", "--health-port"])
def test_a_taken_port_is_said_with_its_option(option: str) -> None:
    with listen("127.0.0.1", 0, "") as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        value = address if option == "--listen" else address.rpartition(":")[2]
        result = invoke("up", "10.0.0.1:80", "--listen=127.0.0.1:0", *PORTS, f"{option}={value}")
    assert result.exit_code == 1
    flag = option.replace("--health", "--grpc-health")
    said = f"epp: cannot listen on {address} ({flag}): another process has the port; choose another\n"
    assert result.stderr.endswith(said)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "epp.envoy" or name.startswith("epp.envoy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "envoy_data_plane", None)
    for args in (("up", "10.0.0.1:80"), ("demo",)):
        result = invoke(*args)
        assert result.exit_code == 1
        assert result.stderr == (
            "epp: Envoy's configuration classes are not installed: pip install 'endpoint-picker[envoy]'\n"
        )


# a whole life


@pytest.fixture
def pod() -> Iterator[str]:
    """A simulated model server."""
    with epp("sim-server", "--pods=1", "--port=0", f"--host={OURS}") as pods:
        pods.until(lambda: "Ctrl-C" in pods.err)
        yield pods.out.strip().removeprefix("http://")


def asked(url: str) -> str:
    """Asks until an answer comes. Returns the model that answered."""
    request = urllib.request.Request(
        f"{url}/v1/completions",
        b'{"model": "sim-model", "prompt": "hello", "max_tokens": 2}',
        {"content-type": "application/json"},
    )
    for _ in range(600):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(json.load(answer)["model"])
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError("no answer")


def envoy_is_gone(admin: str, folder: Path) -> None:
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{admin}/ready", timeout=30)
    assert list(folder.iterdir()) == []


@pytest.mark.envoy
def test_requests_are_served_envoy_comes_back_and_ctrl_c_ends_both(pod: str, tmp_path: Path) -> None:
    with epp("up", pod, f"--listen={OURS}:0", *PORTS, TMPDIR=str(tmp_path)) as up:
        said = up.wait_for("up")
        assert asked(said["clients"]) == "sim-model"
        quit_request = urllib.request.Request(f"http://{said['envoy']}/quitquitquit", b"")
        urllib.request.urlopen(quit_request, timeout=30).close()
        up.until(lambda: "Envoy is started again in" in up.err)
        assert asked(said["clients"]) == "sim-model", "at the same address"
        up.signal(signal.SIGINT)
        assert up.wait() == 0
        assert up.said("stopped")
        assert "Traceback" not in up.err
        envoy_is_gone(said["envoy"], tmp_path)


@pytest.mark.envoy
def test_what_ends_the_picker_ends_envoy(tmp_path: Path) -> None:
    config, folder = tmp_path / "epp.yaml", tmp_path / "tmp"
    config.write_text("epp: {endpoints: {file: {path: /nonexistent/endpoints.yaml}}}")
    folder.mkdir()
    with epp("up", f"--config-file={config}", f"--listen={OURS}:0", *PORTS, TMPDIR=str(folder)) as up:
        assert up.wait() == 1
        assert up.err.splitlines()[-1].startswith("epp: /nonexistent/endpoints.yaml: cannot be read")
    assert list(folder.iterdir()) == []

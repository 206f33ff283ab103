"""Commands in the documents can be typed, and print what is shown."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from epp.cli import COMMANDS, cli
from tests.docs.pages import ROOT, Block, blocks, console_blocks, text_of
from tests.docs.running import TIMEOUT_S, Background, wait_until

EPP = (sys.executable, "-m", "epp")

COMMAND_LINES = sorted({command for _, command, _ in console_blocks() if re.match(r"(\w+=\S+ )?epp ", command)})

PICKER_YAML = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
epp:
  endpoints: {static: ["127.0.0.1:9"]}
  logging: {format: console}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the documents speak of."""
    for block in blocks("yaml"):
        if block.file_name:
            (tmp_path / block.file_name).write_text(block.text)
    shutil.copyfile(ROOT / "tests" / "data" / "llm-d" / "disaggregated.yaml", tmp_path / "config.yaml")
    (tmp_path / "picker.yaml").write_text(PICKER_YAML)
    for name in ("request.json", "french.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "token").write_text("secret")
    (tmp_path / "mypkg").mkdir()
    shutil.copyfile(ROOT / "tests" / "scheduling" / "plugins" / "example_plugin.py", tmp_path / "mypkg" / "routing.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command_lines_are_understood(line: str, folder: Path) -> None:
    words = shlex.split(line)
    program, name, *arguments = words[1:] if "=" in words[0] else words
    assert program == "epp"
    assert name in COMMANDS
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    with command.make_context(name, arguments, parent=click.Context(cli)) as context:
        assert context.params


def checks() -> list[tuple[Block, str, str]]:
    return [one for one in console_blocks() if "epp check" in one[1] and one[2]]


@pytest.mark.parametrize(
    ("block", "line", "shown"), checks(), ids=[f"{block.page}: {line}" for block, line, _ in checks()]
)
def test_epp_check_says_what_is_shown(
    block: Block, line: str, shown: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    ran = CliRunner().invoke(cli, ["check", *line.partition("epp check ")[2].split()])
    assert (ran.output, ran.exit_code) == (shown, 2 if "not here: " in shown else 0)


def masked(text: str) -> list[str]:
    """Lines without numbers and without the space that they take."""
    text = re.sub(r"\d[\d.:TZ-]*", "N", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip() not in ("", "...")]


def shown_for(command: str) -> str:
    (output,) = {output for _, line, output in console_blocks() if line == command}
    return output


@pytest.mark.envoy
def test_the_demo_prints_what_is_shown() -> None:
    command = (*EPP, "demo", "--pods", "2", "--people", "2", "--turns", "2")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = masked(ran.stdout)
    missing = [line for line in masked(shown_for("make demo")) if line not in printed]
    assert not missing


def start(folder: Path, *arguments: str) -> Background:
    return Background((*EPP, *arguments), folder / "log", {**os.environ, "PYTHONPATH": str(ROOT)})


def fields_of(text: str) -> dict[str, Sequence[str]]:
    """Names of the fields of each line of a log that is written for people, by message."""
    lines = re.findall(r"^\S+ (?:info|error|warning) +(.*?)(?:  (.*))?$", text, re.MULTILINE)
    return {message: re.findall(r"(?:^| )(\w+)=", fields) for message, fields in lines}


def free_ports(*names: str) -> list[str]:
    return [word for name in names for word in (f"--{name}", "0")]


@pytest.mark.envoy
def test_epp_up_says_what_is_shown(folder: Path) -> None:
    ports = free_ports("grpc-port", "health-port", "metrics-port", "admin-port")
    (shown,) = {output for _, line, output in console_blocks() if line.startswith("epp up ")}
    with start(folder, "up", "--config-file", "picker.yaml", "--listen", "127.0.0.1:0", *ports) as up:
        wait_until(lambda: "up" in fields_of(up.output()))
        printed = fields_of(up.output())
        for message, fields in fields_of(shown).items():
            assert list(printed[message])[: len(fields)] == fields
        clients = re.search(r"clients=http://(\S+)", up.output())
        assert clients is not None
        for _, line, shown in console_blocks():
            if line.startswith("curl") and ":8080/" in line:
                answer = post(clients[1], line)
                assert [one for one in shown.splitlines() if one not in (*answer, "...")] == []
        assert up.stop(signal.SIGINT) == 0


def post(address: str, line: str) -> list[str]:
    """Sends what a curl command sends; the lines of the answer."""
    path, headers, body = re.search(r":8080(\S+) -H '(.*?)' -d '(.*)'$", line).groups()  # type: ignore[union-attr]
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    connection.request("POST", path, body, dict([headers.split(": ")]))
    answer = connection.getresponse()
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.getheaders())]
    lines.append(answer.read().decode())
    connection.close()
    return lines


def get(url: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(url, body, method="PUT" if body else "GET")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode()).strip()


def test_epp_serve_and_its_pages_say_what_is_shown(folder: Path) -> None:
    ports = free_ports("grpc-port", "grpc-health-port", "metrics-port")
    with start(folder, "serve", "--config-file", "picker.yaml", "--bind", "127.0.0.1", *ports) as serve:
        port = wait_until(lambda: re.search(r"metrics_port=(\d+)", serve.output()))[1]
        wait_until(lambda: "ready" in fields_of(serve.output()))
        for _, line, shown in console_blocks():
            if line.startswith("curl -s") and ":9090/" in line:
                url = shlex.split(line)[-1].replace(":9090/", f":{port}/")
                assert get(url, b"debug" if "-X PUT" in line else None) == shown.strip()
        for name in re.findall(r"^\| `(/[a-z/-]+)` \|", text_of("docs/operations.md"), re.MULTILINE):
            if name != "/debug/explain":
                assert get(f"http://127.0.0.1:{port}{name}")
        asked = subprocess.run(
            (*EPP, "explain", "request.json", "--url", f"http://127.0.0.1:{port}", "--json"),
            capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
        )  # fmt: skip
        assert json.loads(asked.stdout)["picked"] == ["127.0.0.1:9"]
        assert serve.stop(signal.SIGINT) == 0
        (shown,) = [output for _, line, output in console_blocks() if line.startswith("epp serve") and output]
        printed = fields_of(serve.output())
        assert {message: printed[message] for message in fields_of(shown)} == fields_of(shown)

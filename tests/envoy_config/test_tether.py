"""A tethered program ends with the process that started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from epp.envoy import tether

SCRIPT = tether.__file__

PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), "/bin/sleep", "600"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
def test_it_is_killed_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, SCRIPT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.kill()
        # Both hold the write end of this pipe, so that it ends only when the child, too, is gone.
        rest, _ = parent.communicate(timeout=60)
    assert rest == b""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_does_not_start_for_a_parent_that_is_gone() -> None:
    done = run("1", "/bin/echo", "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is gone" in done.stderr


def test_it_becomes_the_program_with_its_arguments() -> None:
    assert run(str(os.getpid()), "/bin/echo", "a b", "-c").stdout == "a b -c\n"


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    done = run(str(os.getpid()), str(tmp_path / "missing"))
    assert done.stderr == f"{tmp_path / 'missing'} cannot be run: No such file or directory\n"

"""Processes are started, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.compare.processes import ContestError, Started, free_ports, pods, started

PATIENCE_S = 60.0
LONG = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {LONG!r}])
print(child.pid, flush=True)
time.sleep(600)
"""


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - about other processes, which set no event
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    """It does not run: it is not there, or nobody has asked for its status yet."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def problem_of(process: Started) -> str:
    try:
        process.check()
    except ContestError as error:
        return str(error)
    return ""


async def test_what_a_process_has_started_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with started("parent", [sys.executable, "-c", PARENT], log) as parent:
        await until(lambda: log.read_text().endswith("\n"))
        child = int(log.read_text())
        parent.check()
        assert not gone(child)
    await until(lambda: gone(child))
    assert gone(parent.pid)


async def test_a_process_ends_when_its_use_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in between"):
        async with started("p", [sys.executable, "-c", LONG], tmp_path / "log") as process:
            raise RuntimeError("in between")
    assert gone(process.pid)


async def test_a_process_that_ended_is_quoted(tmp_path: Path) -> None:
    script = "import sys; sys.exit('unknown flag: --config-fiel')"
    async with started("go", [sys.executable, "-c", script], tmp_path / "log") as process:
        await until(lambda: problem_of(process))
        assert problem_of(process) == "go: ended with status 1\n    unknown flag: --config-fiel"


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ContestError, match="go: there is no program '/opt/nowhere/epp'"):
        async with started("go", ["/opt/nowhere/epp"], tmp_path / "log"):
            pass


async def test_pods_with_a_wrong_flag_say_why(tmp_path: Path) -> None:
    with pytest.raises(ContestError, match="No such option"):
        async with pods(1, ["--no-such-flag"], tmp_path / "log"):
            pass


async def test_pods_tell_their_addresses_and_end(tmp_path: Path) -> None:
    async with pods(2, ["--speed", "10"], tmp_path / "log") as addresses:
        assert len(set(addresses)) == 2
        for address in addresses:
            host, _, port = address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(host, int(port))


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(5))) == 5

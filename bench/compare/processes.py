"""Starts processes and ends them, with what they said when they fail.

Each is in a session of its own, so that Ctrl-C reaches this process only, which then ends them; and each ends with this
process in any case (`epp.envoy`'s tether), so start them from the main thread.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import epp.envoy

__all__ = ["ContestError", "Started", "free_ports", "pods", "started"]

STOP_S = 15.0
START_S = 60.0

_TETHER = Path(epp.envoy.__file__).with_name("tether.py")
_LAST_BYTES = 4096
_LAST_LINES = 12


class ContestError(Exception):
    """Something that is needed for a run does not work; the message says what, and what it said."""


class Started:
    """A process that runs."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raises ContestError when it has ended."""
        if self._process.returncode is not None:
            raise self.failure(f"ended with status {self._process.returncode}")

    def failure(self, what: str) -> ContestError:
        """An error that quotes what it wrote last."""
        return ContestError(f"{self.name}: {what}{_quoted(self._log)}")

    async def end(self) -> None:
        """Asks it to end, then makes it and all that it has left behind."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
        with suppress(ProcessLookupError):  # its session's group, which is ours alone
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def started(name: str, command: Sequence[str], log: Path) -> AsyncIterator[Started]:
    """A process. What it writes goes to `log`. Raises ContestError when the program is not there."""
    process = await _launch(name, command, log, stdout=None)
    running = Started(name, process, log)
    try:
        yield running
    finally:
        await running.end()


@asynccontextmanager
async def pods(count: int, options: Sequence[str], log: Path) -> AsyncIterator[tuple[str, ...]]:
    """Simulated pods with empty caches: their addresses. `options`: more flags of `epp sim-server`."""
    command = [str(Path(sys.executable).with_name("epp")), "sim-server", "--pods", str(count), "--port", "0", *options]
    process = await _launch("pods", command, log, stdout=PIPE)
    running = Started("pods", process, log)
    try:
        assert process.stdout is not None, "asked for"
        addresses = []
        for _ in range(count):
            async with asyncio.timeout(START_S):
                line = (await process.stdout.readline()).decode().strip()
            if not line:
                await process.wait()
                raise running.failure("did not start")
            addresses.append(line.removeprefix("http://"))
        yield tuple(addresses)
    except TimeoutError:
        raise running.failure(f"did not start within {START_S:.0f} s") from None
    finally:
        await running.end()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


async def _launch(name: str, command: Sequence[str], log: Path, *, stdout: int | None) -> Process:
    program = shutil.which(command[0])
    if program is None:
        raise ContestError(f"{name}: there is no program {command[0]!r} that can be run")
    tethered = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), program, *command[1:]]
    with log.open("wb") as file:
        return await asyncio.create_subprocess_exec(
            *tethered, stdin=DEVNULL, stdout=stdout or file, stderr=file, start_new_session=True
        )


def _quoted(log: Path) -> str:
    said = log.read_bytes()[-_LAST_BYTES:].decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    return "".join(f"\n    {line}" for line in said) or "; it wrote nothing"

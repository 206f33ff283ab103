"""Starts what is measured, each in a process of its own, and ends it.

Endpoints of our picker are addresses of the loopback net behind which one process answers ready-made pages (`pages`),
so that metrics are there and nothing fails. Where scraping is not what is measured, each page is read once: intervals
are as long as they can be, and metrics do not fade before. Overload is then kept from changing what is measured too.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.extproc.exchanges import Reply, exchange
from bench.extproc.pages import address
from bench.extproc.player import connected, play_bursts

__all__ = ["BenchError", "Server", "bare", "other", "ours", "pages"]

START_S = 60.0
"""A picker that does not serve by then does not serve."""

STOP_S = 15.0

_RETRY_S = 0.1

_EPP = Path(sys.executable).with_name("epp")


class BenchError(Exception):
    """What is to be measured does not work; the message says what."""


@dataclass(frozen=True, slots=True)
class Server:
    """A picker that serves."""

    name: str
    port: int
    pid: int


@asynccontextmanager
async def pages(count: int) -> AsyncIterator[Sequence[str]]:
    """Model servers' pages. Gives the endpoints, HOST:PORT."""
    command = [sys.executable, "-m", "bench.extproc.pages", str(count)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert process.stdout is not None, "asked for"
        port = (await asyncio.wait_for(process.stdout.readline(), START_S)).decode().strip()
        if not port:
            raise BenchError("the pages of model servers cannot be served")
        yield [f"{address(number)}:{port}" for number in range(count)]
    finally:
        await _end(process)


@asynccontextmanager
async def bare() -> AsyncIterator[Server]:
    """The server that does nothing."""
    port = _free_port()
    async with _started("bare", [sys.executable, "-m", "bench.extproc.bare", str(port)], port) as server:
        yield server


@asynccontextmanager
async def ours(endpoints: Sequence[str], *, scraping: bool = False, may_hurry: bool = False) -> AsyncIterator[Server]:
    """`epp serve` with the default policy. `scraping`: every second, as by default, instead of once."""
    port = _free_port()
    command = [str(_EPP), "serve", "--bind", "127.0.0.1", "--secure-serving=false", "--v", "1"]
    command += ["--grpc-port", str(port), "--grpc-health-port", "0", "--metrics-port", "0"]
    command += ["--config-text", _config(scraping=scraping, may_hurry=may_hurry)]
    for endpoint in endpoints:
        command += ["--endpoint", endpoint]
    async with _started(f"epp, {len(endpoints)} endpoints", command, port) as server:
        yield server


@asynccontextmanager
async def other(command: str) -> AsyncIterator[Server]:
    """Any picker, by a command line with `{port}` in it. It must be the process that picks, and serve without TLS."""
    port = _free_port()
    async with _started("other", shlex.split(command.replace("{port}", str(port))), port) as server:
        yield server


def _config(*, scraping: bool, may_hurry: bool) -> str:
    section: dict[str, object] = {}
    if not scraping:
        section["scraping"] = {"interval": "29m", "health": {"interval": "1h"}, "models": {"interval": "24h"}}
        section["staleness"] = {"after": "1h"}
    if not may_hurry:
        section["overload"] = {"maxLag": "10s", "maxBusy": 1.0}
    return json.dumps({"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", "epp": section})


@asynccontextmanager
async def _started(name: str, command: Sequence[str], port: int) -> AsyncIterator[Server]:
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL)
    except OSError as error:
        raise BenchError(f"{name}: {command[0]}: {error.strerror}") from error
    try:
        server = Server(name, port, process.pid)
        await _wait_picking(server, process)
        yield server
    finally:
        await _end(process)


async def _wait_picking(server: Server, process: Process) -> None:
    """Returns when an exchange was answered in full."""
    trial = exchange(400, 1, Reply.FULL)
    loop = asyncio.get_running_loop()
    until = loop.time() + START_S
    while loop.time() < until:
        if process.returncode is not None:
            raise BenchError(f"{server.name}: ended with status {process.returncode} instead of serving")
        try:
            async with connected(server.port, 1) as wires:
                if (await asyncio.wait_for(play_bursts(wires, trial, outstanding=1, total=1), START_S)).sound:
                    return
        except (ConnectionError, TimeoutError):
            pass
        await asyncio.sleep(_RETRY_S)
    raise BenchError(f"{server.name}: answers no exchange in full within {START_S:.0f} s of its start")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

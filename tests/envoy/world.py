"""What stands around a test: pickers with everything that a real one has, and real Envoys in front of them.

A picker runs in this process (`running_picker`), where a test can look into its ledger, or as `epp serve` in a process
of its own (`ServedPicker`), which can be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from epp.config import load
from epp.envoy import EnvoyProcess, EnvoySettings, LaunchSettings, as_yaml, build_bootstrap
from epp.process import PickerProcess
from epp.process.picker import Ports
from epp.router import Router
from epp.telemetry.logs import Level, LogSettings, start_logging
from tests.envoy.http1 import Fields, Head, Http1Call
from tests.envoy.http2 import Http2Call

__all__ = [
    "PATIENCE_S",
    "Answer",
    "Call",
    "RunningPicker",
    "ServedPicker",
    "config_text",
    "exchange",
    "own_host",
    "running_envoy",
    "running_picker",
    "until",
    "until_told",
]

PATIENCE_S = 60.0
"""For what must happen. Long, because the machine may be busy; what is awaited takes milliseconds."""

ROOT = Path(__file__).resolve().parents[2]

Call = type[Http1Call] | type[Http2Call]
"""How a client speaks."""

Document = dict[str, Any]

T = TypeVar("T")


async def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - about other processes and servers, which set no event
            await asyncio.sleep(0.005)


async def until_told(ask: Callable[[], Awaitable[T]], condition: Callable[[T], Any]) -> T:
    """Asks until the answer meets the condition. Returns that answer."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition(answer := await ask()):  # noqa: ASYNC110 - as in `until`
            await asyncio.sleep(0.02)
    return answer


@dataclass(frozen=True)
class Answer:
    """A complete reply."""

    status: int
    head: Head
    body: bytes
    trailers: list[tuple[str, str]]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def exchange(
    client: Call,
    address: str,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Fields = (),
    body: bytes = b"",
    pieces: Iterable[bytes] | None = None,
    trailers: Fields = (),
) -> Answer:
    """A request and its reply. Only a POST has a body; with `pieces` it declares no length."""
    if method != "POST":
        pieces, length = (), None
    else:
        length = len(body) if pieces is None else None
    async with asyncio.timeout(PATIENCE_S):
        async with await client.start(address, method, path, headers, length=length) as call:
            sending = asyncio.create_task(_send(call, [body] if pieces is None else pieces, trailers))
            try:
                head = await call.head()
                received = b"".join(await _pieces(call))
                return Answer(int(head.first), head, received, call.trailers)
            finally:
                sending.cancel()  # a reply may come before the request is over
                await asyncio.wait({sending})


async def _send(call: Http1Call | Http2Call, pieces: Iterable[bytes], trailers: Fields) -> None:
    for piece in pieces:
        if piece:
            await call.send(piece)
    await call.finish(trailers)


async def _pieces(call: Http1Call | Http2Call) -> list[bytes]:
    pieces = []
    while piece := await call.read():
        pieces.append(piece)
    return pieces


@dataclass(frozen=True)
class RunningPicker:
    """A picker in this process."""

    process: PickerProcess
    ports: Ports

    @property
    def router(self) -> Router:
        return self.process.router

    @property
    def charges(self) -> dict[str, int]:
        """Requests in the ledger by endpoint, where there are any."""
        table = self.router.pool.table
        return {
            table.addresses[row]: int(table.columns.requests[row])
            for row in table.live_rows
            if table.columns.requests[row]
        }

    @property
    def quiet(self) -> bool:
        """Nothing is under way, and nothing is left of what was."""
        pool, service = self.router.pool, self.process.service
        columns, rows = pool.table.columns, pool.table.live_rows
        load = (columns.requests, columns.prefill_tokens, columns.context_tokens)
        counts = (pool.ledger.open, self.router.in_flight, service.open_streams, service.budget.held_bytes)
        return not any(counts) and not any(column[rows].any() for column in load)


@asynccontextmanager
async def running_picker(
    endpoints: Sequence[str], config: Document | None = None, **flags: str
) -> AsyncIterator[RunningPicker]:
    """A picker in this process, without TLS unless `secure_serving` says otherwise."""
    all_flags: dict[str, str | tuple[str, ...]] = {
        "bind": "127.0.0.1",
        "grpc-port": "0",
        "grpc-health-port": "0",
        "metrics-port": "0",
        "secure-serving": "false",
        **{name.replace("_", "-"): value for name, value in flags.items()},
    }
    if endpoints:
        all_flags["endpoint"] = tuple(endpoints)
    all_flags["config-text"] = config_text(config or {})
    logs = start_logging(LogSettings(Level.WARNING), sys.stderr)
    try:
        process = PickerProcess(load(all_flags, {}), all_flags, logs)
        ports = await process.start()
        try:
            await process.wait_ready()
            yield RunningPicker(process, ports)
        finally:
            await process.stop()
    finally:
        logs.stop()


def config_text(config: Document) -> str:
    """A configuration file. That a test keeps the machine busy is no overload of the picker."""
    section = {"overload": {"maxLag": "10s", "maxBusy": 1.0}, **config.get("epp", {})}
    head = {"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig"}
    return yaml.safe_dump({**head, **config, "epp": section})


@asynccontextmanager
async def running_envoy(
    settings: EnvoySettings, change: Callable[[Document], None] | None = None
) -> AsyncIterator[EnvoyProcess]:
    """Envoy with these settings on ports of its own choice. `change` edits the configuration that is made of them."""
    text = as_yaml(build_bootstrap(replace(settings, listener_port=0, admin_port=0)))
    if change is not None:
        document = yaml.safe_load(text)
        change(document)
        text = yaml.safe_dump(document)
    async with EnvoyProcess(text, LaunchSettings(ready_timeout_s=PATIENCE_S), log=_quiet) as envoy:
        yield envoy


def _quiet(_line: str) -> None:
    """Takes Envoy's log."""


def own_host() -> str:
    """A loopback address that no other test process uses."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 16) % 250}.{(pid >> 8) & 255}.{1 + (pid & 255) % 254}"


@dataclass
class ServedPicker:
    """`epp serve` as a process, on an address of its own, so that it finds its ports free when it comes back."""

    flags: Sequence[str]
    config: Document = field(default_factory=dict)
    host: str = field(default_factory=own_host)
    ports: dict[str, int] = field(default_factory=dict)
    log: list[Document] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when it is ready. The second time it gets the ports that it had the first time."""
        ports = self.ports or dict.fromkeys(("extproc_port", "health_port", "metrics_port"), 0)
        flags = ("grpc-port", "grpc-health-port", "metrics-port")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "epp", "serve", "--bind", self.host, "--secure-serving=false"),
            *(f"--{flag}={port}" for flag, port in zip(flags, ports.values(), strict=True)),
            *("--zap-encoder", "json", "--config-text", config_text(self.config), *self.flags),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        self.log.clear()
        self._reading = asyncio.create_task(self._read())
        await until(lambda: self._said("ready") or self._process.returncode is not None)
        assert self._said("ready"), self.log
        served = self._said("serving")
        assert served is not None
        self.ports = {name: served[name] for name in ports}

    async def kill(self) -> None:
        """It is gone without a word."""
        await self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks it to drain and end."""
        os.kill(self.pid, signal.SIGTERM)

    async def metrics(self) -> Counter[str]:
        """Its own metrics, each summed over its labels; what is not there counts 0."""
        page = await exchange(Http1Call, f"{self.host}:{self.ports['metrics_port']}", "GET", "/metrics")
        sums: Counter[str] = Counter()
        for line in page.body.decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                sums[name.partition("{")[0]] += float(value)  # type: ignore[assignment]
        return sums

    async def wait(self) -> int:
        """Its exit status."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE_S):
            status = await self._process.wait()
            await self._reading
        return status

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
        await self.wait()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log.append(json.loads(line) if line.startswith(b"{") else {"msg": line.decode()})

    def _said(self, message: str) -> Document | None:
        return next((line for line in self.log if line["msg"] == message), None)

# ruff: noqa: TID251 - this file is the edge where the Envoy process is started, watched and stopped
"""Runs a real Envoy: start, wait until it serves, watch, start again when asked, stop, clean up.

    async with EnvoyProcess(as_yaml(build_bootstrap(settings))) as envoy:
        print(envoy.listener_address)
        await envoy.wait()            # returns after close(); raises EnvoyError when Envoy ended by itself

Envoy is in a session of its own, so that Ctrl-C in a terminal reaches this process only, which then stops Envoy. It
ends with this process in any case (see `tether`), so start it from the main thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import aiohttp

from epp.envoy.binary import EnvoyError, find_envoy
from epp.envoy.launch import (
    LaunchSettings,
    LogTail,
    RestartPolicy,
    command_line,
    exit_message,
    listener_addresses,
    quoted,
)
from epp.envoy.names import LISTENER

__all__ = ["EnvoyProcess"]

_POLL_S = 0.05

_logger = logging.getLogger(__name__)


def _log_line(line: str) -> None:
    _logger.warning("%s", line)


def _read_address(admin_file: Path) -> str:
    """`ip:port` of the admin page; empty as long as Envoy has not written it."""
    try:
        return admin_file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""


class _Run:
    """One life of the program: the process, and the task that reads its log until it ends."""

    def __init__(self, process: Process, log: Callable[[str], None]) -> None:
        self.pid = process.pid
        self.started_at = asyncio.get_running_loop().time()
        self.tail = LogTail()
        self._process = process
        self._log = log
        self.ended: asyncio.Future[None] = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            await self._read_log()
        finally:
            await self._process.wait()

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(65536):
            for line in self.tail.feed(data):
                self._log(line)
        for line in self.tail.end():
            self._log(line)

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, grace_s: float) -> None:
        """Asks it to end, then makes it. Does nothing when it has ended."""
        if self.ended.done():
            return
        self.signal(signal.SIGTERM)
        _, still_running = await asyncio.wait({self.ended}, timeout=grace_s)
        if still_running:
            self.signal(signal.SIGKILL)
            await self.ended

    def failure(self, when: str) -> EnvoyError:
        """What to raise when it has ended."""
        status = self._process.returncode
        assert status is not None
        return EnvoyError(exit_message(when, status, self.tail.last()))


class EnvoyProcess:
    """One Envoy, from `start` to `close`. Not to be started twice.

    `config` is a whole bootstrap with an admin port; YAML or JSON. `log` gets each line that Envoy writes, unless
    `launch` names a file. With `restart` a crash is followed by a new start, under the same ports if they are fixed.
    """

    def __init__(
        self,
        config: str,
        launch: LaunchSettings | None = None,
        *,
        restart: RestartPolicy | None = None,
        envoy: Path | None = None,
        log: Callable[[str], None] = _log_line,
    ) -> None:
        self._config = config
        self._launch_settings = launch or LaunchSettings()
        self._restart = restart
        self._envoy = envoy
        self._log = log
        self._files = contextlib.ExitStack()
        self._directory = Path()
        self._run: _Run | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._admin_address = ""
        self._listeners: Mapping[str, str] = {}
        self._restarts = 0
        self._crashes = 0  # in a row

    @property
    def listeners(self) -> Mapping[str, str]:
        """Name and `ip:port` of each listener, as bound."""
        return self._listeners

    @property
    def listener_address(self) -> str:
        """`ip:port` of the listener of `build_bootstrap`, as bound. Port 0 becomes another port at each restart."""
        return self._listeners[LISTENER]

    @property
    def admin_address(self) -> str:
        """`ip:port` of the admin page."""
        return self._admin_address

    @property
    def pid(self) -> int | None:
        """Process id; None when none runs."""
        return None if self._run is None or self._run.ended.done() else self._run.pid

    @property
    def restarts(self) -> int:
        """How often it was started again with success."""
        return self._restarts

    def __repr__(self) -> str:
        state = "stopped" if self.pid is None else f"pid {self.pid} on {', '.join(self._listeners.values())}"
        return f"<EnvoyProcess {state}, {self._restarts} restarts>"

    async def start(self) -> None:
        """Returns when Envoy serves. Raises EnvoyError with Envoy's own words when it does not come to that."""
        assert self._closing is None, "an EnvoyProcess is started once"
        self._closing = asyncio.get_running_loop().create_future()
        try:
            self._envoy = self._envoy or find_envoy()
            self._open_files()
            run = await self._launch()
        except BaseException:
            self._files.close()
            raise
        self._supervisor = asyncio.create_task(self._supervise(run))

    async def wait(self) -> None:
        """Returns after `close`. Raises EnvoyError when Envoy ends by itself and is not started again."""
        assert self._supervisor is not None, "not started"
        await asyncio.shield(self._supervisor)

    async def close(self) -> None:
        """Stops Envoy and removes its files. May be called in any state and more than once."""
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        try:
            if self._supervisor is not None:
                with contextlib.suppress(EnvoyError):  # for whoever calls `wait`
                    await self._supervisor
        finally:
            self._files.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open_files(self) -> None:
        self._directory = Path(self._files.enter_context(TemporaryDirectory(prefix="epp-envoy-")))  # mode 0700
        (self._directory / "envoy.yaml").write_text(self._config, encoding="utf-8")

    async def _launch(self) -> _Run:
        """Starts the program and waits until it serves; stops it again when that fails."""
        assert self._envoy is not None
        admin_file = self._directory / "admin"
        admin_file.unlink(missing_ok=True)
        command = command_line(
            self._envoy, self._directory / "envoy.yaml", admin_file, self._launch_settings, os.getpid()
        )
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stderr=PIPE, start_new_session=True)
        run = self._run = _Run(process, self._log)
        try:
            await self._wait_ready(run, admin_file)
        except BaseException:
            await run.stop(self._launch_settings.stop_grace_s)
            raise
        return run

    async def _wait_ready(self, run: _Run, admin_file: Path) -> None:
        assert self._closing is not None
        limit_s = self._launch_settings.ready_timeout_s
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as admin:
            while not run.ended.done():
                if self._closing.done():
                    raise EnvoyError("Envoy was stopped before it was ready")
                if await self._is_ready(admin, admin_file):
                    return
                if clock() - run.started_at > limit_s:
                    raise EnvoyError(f"Envoy was not ready within {limit_s:g} s.{quoted(run.tail.last())}")
                await asyncio.wait({run.ended, self._closing}, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
        raise run.failure("before it was ready")

    async def _is_ready(self, admin: aiohttp.ClientSession, admin_file: Path) -> bool:
        address = _read_address(admin_file)
        if not address:
            return False
        try:
            async with admin.get(f"http://{address}/ready") as ready:
                if ready.status != 200:
                    return False
            async with admin.get(f"http://{address}/listeners?format=json") as page:
                self._listeners = listener_addresses(await page.read())
        except (aiohttp.ClientError, TimeoutError):  # not there yet
            return False
        except ValueError as error:
            raise EnvoyError(str(error)) from None
        self._admin_address = address
        return True

    async def _supervise(self, run: _Run | None) -> None:
        assert self._closing is not None
        try:
            while run is not None:
                await asyncio.wait({run.ended, self._closing}, return_when=asyncio.FIRST_COMPLETED)
                if self._closing.done():
                    return
                failure = run.failure("while it served")
                if self._restart is None:
                    raise failure
                run = await self._start_again(self._restart, run, failure)
        finally:
            if self._run is not None:
                await self._run.stop(self._launch_settings.stop_grace_s)

    async def _start_again(self, policy: RestartPolicy, crashed: _Run, failure: EnvoyError) -> _Run | None:
        """The next life; None when it is closed while waiting for one."""
        assert self._closing is not None
        uptime_s = asyncio.get_running_loop().time() - crashed.started_at
        self._crashes = policy.crashes_in_a_row(self._crashes, uptime_s)
        while True:
            delay_s = policy.delay_s(self._crashes)
            _logger.error("Envoy is started again in %g s. %s", delay_s, failure)
            await asyncio.wait({self._closing}, timeout=delay_s)
            if self._closing.done():
                return None
            try:
                run = await self._launch()
            except EnvoyError as error:
                failure = error
                self._crashes += 1
            else:
                self._restarts += 1
                return run

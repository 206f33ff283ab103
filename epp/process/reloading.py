# ruff: noqa: TID251 - this file is an edge: it looks at a file, and reads the clock
"""The configuration in use, and how another one takes its place while the process runs.

A new one is taken as a whole or refused as a whole; what was refused, and why, is on the log, in metrics and on the
page `/config`. The file is looked at, not subscribed to: a look finds what editors, Kubernetes and network file systems
do to a file, and costs nothing that could be measured.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from epp.config import ConfigError, Loaded, Problem, Reload, Settings, effective_text, load, plan_reload, read_config
from epp.config.flag_table import FlagValues
from epp.process.errors import StartError
from epp.telemetry.collectors import ReloadMetrics

__all__ = ["Configuration", "log_problems"]

log = logging.getLogger("epp")

LOOK_S = 0.25
"""Between looks at the file."""

SETTLED_LOOKS = 2
"""Looks that must find the same content, as an editor may write a file in several steps..."""

GONE_LOOKS = 8
"""...or no file: it may be being replaced."""

Take = Callable[[Reload], Awaitable[None]]


class Configuration:
    """What is in effect, and what was last refused."""

    def __init__(self, loaded: Loaded, flags: FlagValues, metrics: ReloadMetrics, take: Take) -> None:
        """`take` puts a configuration into effect, or raises ConfigError or StartError and changes nothing."""
        self.loaded = loaded
        self._flags = flags
        self._metrics = metrics
        self._take = take
        self._refusal = ""
        self._one_at_a_time = asyncio.Lock()
        path = flags.get("config-file")
        self._path = Path(path) if isinstance(path, str) and path else None
        self._seen = _content(self._path) if self._path else None

    @property
    def settings(self) -> Settings:
        """In effect."""
        return self.loaded.settings

    async def reload(self) -> None:
        """Reads the configuration again, and takes it if it will do."""
        async with self._one_at_a_time:
            try:
                plan = await self._read()
                await self._take(plan)
            except (ConfigError, StartError) as error:
                self._refuse(str(error))
            except Exception as error:
                log.exception("reading the configuration failed")
                self._refuse(f"{type(error).__name__}: {error}")
            else:
                self._taken(plan)

    async def watch(self) -> None:
        """Reloads when the file has changed. Runs until cancelled; returns when there is no file."""
        if self._path is None:
            return
        last, looks = self._seen, 0
        while True:
            await asyncio.sleep(LOOK_S)
            found = await asyncio.to_thread(_content, self._path)
            last, looks = (found, looks + 1 if found == last else 1)
            if found != self._seen and looks >= (GONE_LOOKS if found is None else SETTLED_LOOKS):
                await self.reload()

    def page(self) -> str:
        """The configuration in effect as text, with what was refused."""
        text = effective_text(self.loaded)
        if not self._refusal:
            return text
        refused = "".join(f"# {line}\n" for line in self._refusal.splitlines())
        return f"# The last change of the configuration was refused:\n{refused}\n{text}"

    async def _read(self) -> Reload:
        if self._path:
            self._seen = await asyncio.to_thread(_content, self._path)
        return plan_reload(self.loaded, await asyncio.to_thread(load, self._flags, os.environ))

    def _refuse(self, why: str) -> None:
        self._refusal = why
        self._metrics.reloaded(ok=False, now=time.time())
        log.error("configuration refused, the one in use stays", extra={"problems": why.splitlines()})

    def _taken(self, plan: Reload) -> None:
        self.loaded = plan.loaded
        self._refusal = ""
        self._metrics.reloaded(ok=True, now=time.time())
        log_problems((*plan.loaded.warnings, *plan.kept), logging.WARNING)
        log.info("configuration taken", extra={"changed": sorted(part.value for part in plan.parts)})


def log_problems(problems: Iterable[Problem], level: int) -> None:
    """Each problem on a line of its own."""
    for problem in problems:
        log.log(level, "%s", problem)


def _content(path: Path) -> bytes | None:
    """None when there is no file that can be read."""
    try:
        return read_config(path)
    except ConfigError:
        return None

# ruff: noqa: TID251 - an edge: the event loop's clock and tasks around a Directory
"""Keeps the endpoints behind a list of targets up to date for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable

from epp.discovery.directory import Directory, DnsSettings, Question
from epp.discovery.dns_lookup import Lookup, LookupFailedError
from epp.discovery.source import ChangesOnly, Publish
from epp.discovery.targets import Target

__all__ = ["Resolving"]

_LOG = logging.getLogger(__name__)

MAX_LOOKUPS = 16
"""Lookups under way at a time."""

COALESCE_S = 0.05
"""Answers that come within this time are published together."""


class Resolving:
    """Drives a directory: asks what is due, publishes what changes."""

    def __init__(self, lookup: Lookup, settings: DnsSettings) -> None:
        self._lookup = lookup
        self._directory = Directory(settings)
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)
        self._changed = asyncio.Event()

    def set_targets(self, targets: Iterable[Target]) -> None:
        """Takes the complete list, before or while it runs."""
        self._directory.set_targets(targets, _now())
        self._changed.set()

    async def run(self, publish: Publish) -> None:
        """Runs until cancelled."""
        publish_changes = ChangesOnly(publish)
        async with asyncio.TaskGroup() as lookups:
            while True:
                self._changed.clear()
                for question in self._directory.due(_now()):
                    lookups.create_task(self._ask(question))
                specs = self._directory.specs(_now())
                if specs is not None:
                    publish_changes(specs)
                await self._wait()

    async def _wait(self) -> None:
        wake_at = self._directory.wake_at(_now())
        timer = None
        if wake_at < math.inf:
            timer = asyncio.get_running_loop().call_at(wake_at, self._changed.set)
        try:
            await self._changed.wait()
            await asyncio.sleep(COALESCE_S)
        finally:
            if timer:
                timer.cancel()

    async def _ask(self, question: Question) -> None:
        async with self._slots:
            try:
                answer = await self._lookup(question)
            except LookupFailedError as error:
                if self._directory.failed(question, error.failure, _now()):
                    _LOG.warning("%s: %s; what was known of it stays (%s)", question.name, error.failure.value, error)
            else:
                if self._directory.answered(question, answer, _now()):
                    _LOG.info("%s: resolved again (%s)", question.name, question.type.value)
        self._changed.set()


def _now() -> float:
    return asyncio.get_running_loop().time()

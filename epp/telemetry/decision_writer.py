# ruff: noqa: TID251 - this file is an edge: it awaits, and has a thread write
"""Writes the lines of the decision log, a few times a second, in a thread: a slow disk holds up nobody.

One batch is written at a time. While it takes long, lines wait in their bounded queue, and are dropped when that is
full. What cannot be written is lost, counted, and said in the log once a minute.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from epp.telemetry import catalogue
from epp.telemetry.decision_log import LineQueue
from epp.telemetry.families import Page
from epp.telemetry.faults import FaultLog
from epp.telemetry.rotating_file import RotatingFile

__all__ = ["DecisionWriter"]

PAUSE_S = 0.25
"""Between batches. A crash loses the lines of so long."""


class DecisionWriter:
    """Takes lines from a queue to a file."""

    def __init__(self, queue: LineQueue, file: RotatingFile, faults: FaultLog) -> None:
        self._queue = queue
        self._file = file
        self._faults = faults
        self._writing: asyncio.Future[None] | None = None
        self._failed = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def open(self) -> None:
        """Opens the file, at start, where an operator can still be told. Raises OSError."""
        self._file.open()

    async def run(self) -> None:
        """Writes until it is cancelled. To be kept running."""
        while True:
            await asyncio.sleep(PAUSE_S)
            await self._flush()

    async def finish(self) -> None:
        """Writes what is left, and closes the file. After `run`."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))  # a batch that was under way when `run` was cancelled
        await self._flush()
        await asyncio.to_thread(self._file.close)

    def collect(self, page: Page) -> None:
        """Adds the counts."""
        counts = {"written": self._file.lines, "dropped": self._queue.dropped, "failed": self._failed}
        for result, count in counts.items():
            page.add(catalogue.DECISION_LINES, (result,), count)

    async def _flush(self) -> None:
        lines, before = self._queue.take(), self._file.lines
        if not lines:
            return
        expected = before + len(lines)
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._file.write, lines))
        self._writing.add_done_callback(lambda done: self._wrote(expected, done.exception()))
        await asyncio.wait((self._writing,))

    def _wrote(self, expected: int, error: BaseException | None) -> None:
        """A batch is over; `expected` lines should now have been written since the start, but for those that failed."""
        self._writing = None
        if error is None:
            return
        self._failed += expected - self._file.lines
        reason = getattr(error, "strerror", None) or str(error)
        kind = f"decision log: {type(error).__name__}"
        self._faults.note(kind, "the decision log cannot be written", path=str(self.path), reason=reason)

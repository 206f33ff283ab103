# ruff: noqa: TID251 - this file is an edge: it runs tasks
"""Tasks that run as long as the process does. One that fails is told, and started again: none can end unnoticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from epp.telemetry.faults import FaultLog

__all__ = ["Background"]

PAUSE_S = 1.0
"""Before a failed task is started again: what fails always must not use up a core."""

Work = Callable[[], Coroutine[None, None, None]]


class Background:
    """Tasks by name."""

    def __init__(self, faults: FaultLog) -> None:
        self._faults = faults
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def keep(self, name: str, work: Work) -> None:
        """Runs what `work` makes, and makes it anew whenever it fails; until it returns, or until it is ended."""
        assert name not in self._tasks, f"{name} is under way"
        self._tasks[name] = asyncio.create_task(self._keep(name, work), name=name)

    async def end(self, name: str) -> None:
        """Returns when the task is over. Does nothing when there is none."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        """Ends all."""
        for name in tuple(self._tasks):
            await self.end(name)

    def __repr__(self) -> str:
        return f"<Background {', '.join(self._tasks) or 'nothing'}>"

    async def _keep(self, name: str, work: Work) -> None:
        task = asyncio.current_task()
        while True:
            try:
                return await work()
            except asyncio.CancelledError as error:
                if task is None or task.cancelling():
                    raise
                self._note(name, error)  # something inside was cancelled, not this task
            except Exception as error:
                self._note(name, error)
            await asyncio.sleep(PAUSE_S)

    def _note(self, name: str, error: BaseException) -> None:
        text = "a background task failed and is started again"
        self._faults.note(f"task {name}", text, error=error, level=logging.ERROR, task=name)

"""What Ctrl-C and SIGTERM do: what was asked for last, else they end the program and let it clean up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop

__all__ = ["Interrupts", "run"]

T = TypeVar("T")


class Interrupts:
    """Actions for an interrupt, the innermost first."""

    def __init__(self) -> None:
        self._actions: list[Callable[[], object]] = []

    @contextmanager
    def doing(self, action: Callable[[], object]) -> Iterator[list[bool]]:
        """An interrupt does this within the context. Gives a list that is not empty once it has."""
        came: list[bool] = []

        def act() -> None:
            came.append(True)
            action()

        self._actions.append(act)
        try:
            yield came
        finally:
            self._actions.remove(act)

    def come(self) -> None:
        """An interrupt."""
        if self._actions:
            self._actions[-1]()


def run(main: Callable[[Interrupts], Coroutine[Any, Any, T]]) -> T:
    """Runs a program in a loop of its own. Raises KeyboardInterrupt when an interrupt ended it."""

    async def run_task() -> T:
        interrupts = Interrupts()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupts.come)
        task = asyncio.current_task()
        assert task is not None, "this runs in one"
        with interrupts.doing(task.cancel):
            return await main(interrupts)

    try:
        return uvloop.run(run_task())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None

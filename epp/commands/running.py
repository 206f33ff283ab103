# ruff: noqa: TID251 - this file is an edge: it runs the event loop and handles signals
"""Runs a picker from the command line: configuration, logs, event loop, signals.

SIGTERM and SIGINT (Ctrl-C) ask for an orderly end; the second one cuts it short, and the third one is the end at once.
SIGHUP reads the configuration again where there is one, and is an end like the others where there is none, or when it
tells that the terminal is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine

import click
import uvloop

from epp.commands.failing import Status, fail
from epp.config import ConfigError, Loaded, load
from epp.config.flag_table import FlagValues
from epp.process import StartError

__all__ = ["Signals", "loaded_or_exit", "run_until_stopped", "until_stopped"]

Reload = Callable[[], Coroutine[None, None, None]]


def loaded_or_exit(flags: FlagValues) -> Loaded:
    """The configuration. Prints all that is wrong with it, and exits."""
    try:
        return load(flags, os.environ)
    except ConfigError as error:
        raise fail(str(error), Status.USAGE if _is_usage(error, flags) else Status.FAILED) from None


def _is_usage(error: ConfigError, flags: FlagValues) -> bool:
    """Whether the command line alone is at fault."""
    return not flags.get("config-file") or all(problem.place.source.startswith("--") for problem in error.problems)


class Signals:
    """What signals ask of the running command."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.by: signal.Signals | None = None
        """The signal that asked for the end."""
        self.reload: Reload | None = None
        """What SIGHUP asks for; None: the end."""
        self._work = asyncio.current_task()
        self._times = 0
        self._reloads: set[asyncio.Task[None]] = set()  # a task that nobody holds may be collected
        self._on_terminal = sys.stderr.isatty()
        self._survives_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # `nohup`

    def handle(self) -> None:
        """From now on signals come here."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ask_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)

    def ask_to_stop(self, number: signal.Signals) -> None:
        """Once: an orderly end. Twice: what runs is cancelled. Three times: at once."""
        self._times += 1
        self.by = number
        self.stop.set()
        if self._times == 2 and self._work is not None:
            self._work.cancel()
        elif self._times > 2:
            os._exit(Status.SIGNAL + number)

    def hang_up(self) -> None:
        """SIGHUP."""
        if self._on_terminal and not sys.stderr.isatty():
            self.ask_to_stop(signal.SIGHUP)
        elif self.reload:
            task = asyncio.get_running_loop().create_task(self.reload())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)
        elif not self._survives_hangup:
            self.ask_to_stop(signal.SIGHUP)


def run_until_stopped(main: Callable[[Signals], Coroutine[None, None, None]]) -> None:
    """Runs `main` on uvloop. Exits with the message of what it raises for the operator to mend."""
    signals: Signals | None = None

    async def run() -> None:
        nonlocal signals
        signals = Signals()
        signals.handle()
        await main(signals)

    try:
        uvloop.run(run())
    except (StartError, ConfigError) as error:
        raise fail(str(error)) from None
    except asyncio.CancelledError:
        assert signals is not None, "signals cancel it, and nothing else"
        raise _ended_by(signals) from None


async def until_stopped(signals: Signals, work: Coroutine[None, None, None]) -> bool:
    """Runs `work` to its end, or cancels it when the end is asked for. True when it came to its end."""
    running = asyncio.create_task(work)
    stopping = asyncio.create_task(signals.stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            return True
        return False
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def _ended_by(signals: Signals) -> click.exceptions.Exit:
    return click.exceptions.Exit(Status.SIGNAL + (signals.by or 0))

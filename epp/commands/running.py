# ruff: noqa: TID251 - this file is an edge: it runs the event loop and handles signals
"""Runs a picker from the command line: configuration, logs, event loop, signals.

SIGTERM drains; Ctrl-C (SIGINT) drains for as long as streams are open, a second one ends at once; SIGHUP reads the
configuration again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import click
import uvloop

from epp.config import ConfigError, Loaded, load
from epp.config.flag_table import FlagValues
from epp.process import PickerProcess, StartError
from epp.process.picker import log_problems
from epp.telemetry.logs import LogControl, start_logging

__all__ = ["fail", "loaded_or_exit", "run_until_stopped", "serve_picker"]

log = logging.getLogger("epp")


def fail(message: str, status: int = 1) -> click.exceptions.Exit:
    """Prints what is wrong; the caller raises what comes back."""
    click.echo(f"epp: {message}", err=True)
    return click.exceptions.Exit(status)


def loaded_or_exit(flags: FlagValues) -> Loaded:
    """The configuration. Prints all that is wrong with it, and exits."""
    try:
        return load(flags, os.environ)
    except ConfigError as error:
        raise fail(str(error)) from None


def run_until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` on uvloop with an event that SIGINT and SIGTERM set. A second signal ends the process at once.

    Exits with the message of a StartError.
    """

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop_or_die, stop, number)
        await main(stop)

    try:
        uvloop.run(run())
    except StartError as error:
        raise fail(str(error)) from None


def _stop_or_die(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


def serve_picker(flags: FlagValues) -> None:
    """Runs a picker until it is stopped."""
    loaded = loaded_or_exit(flags)
    logs = start_logging(loaded.settings.logging, sys.stderr)
    try:
        log_problems(loaded.warnings, logging.WARNING)
        run_until_stopped(lambda stop: _serve(loaded, flags, logs, stop))
    finally:
        logs.stop()


async def _serve(loaded: Loaded, flags: FlagValues, logs: LogControl, stop: asyncio.Event) -> None:
    picker = PickerProcess(loaded, flags, logs)
    await picker.start()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()  # a task that nobody holds may be collected

    def reload() -> None:
        task = loop.create_task(picker.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await picker.run(stop)
    finally:
        await picker.stop()
    log.info("stopped")

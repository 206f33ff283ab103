"""`epp serve`: the picker behind an ext-proc filter."""

from __future__ import annotations

import logging
import signal
import sys

import click

from epp.commands.running import Signals, loaded_or_exit, run_until_stopped
from epp.config import Loaded, PickerCommand, flag_options, given_flags
from epp.config.flag_table import FlagValues
from epp.process import PickerProcess, log_problems
from epp.telemetry.logs import LogControl, start_logging

__all__ = ["serve"]

log = logging.getLogger("epp")


@click.command(cls=PickerCommand)
@flag_options
def serve(**parameters: object) -> None:
    """Serve as an ext-proc filter's endpoint picker.

    Takes the Go picker's flags and configuration file. Endpoints come from --endpoint, --endpoints-file, --dns, --srv,
    --pool-name or --endpoint-selector on Kubernetes, or the file. Listens on 9002 (ext-proc, TLS unless
    --secure-serving=false), 9003 (gRPC health) and 9090 (metrics).

    SIGTERM and Ctrl-C let requests under way finish, a second one does not; SIGHUP, like a changed file, has the
    configuration read again.
    """
    flags = given_flags(parameters)
    loaded = loaded_or_exit(flags)
    logs = start_logging(loaded.settings.logging, sys.stderr)
    try:
        log_problems(loaded.warnings, logging.WARNING)
        run_until_stopped(lambda signals: _serve(loaded, flags, logs, signals))
    finally:
        logs.stop()


async def _serve(loaded: Loaded, flags: FlagValues, logs: LogControl, signals: Signals) -> None:
    picker = PickerProcess(loaded, flags, logs)
    await picker.start()
    signals.reload = picker.reload
    try:
        await picker.run(signals.stop)
        await picker.drain(patient=signals.by is signal.SIGTERM)
    finally:
        await picker.stop()
    log.info("stopped")

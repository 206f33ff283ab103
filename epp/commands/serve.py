"""`epp serve`: the picker behind an ext-proc filter."""

from __future__ import annotations

import click

from epp.commands.running import serve_picker
from epp.config import PickerCommand, flag_options, given_flags

__all__ = ["serve"]


@click.command(cls=PickerCommand)
@flag_options
def serve(**parameters: object) -> None:
    """Serve as an ext-proc filter's endpoint picker.

    Takes the Go picker's flags and configuration file. Endpoints come from --endpoint, --endpoints-file, --dns, --srv
    or the file. Listens on 9002 (ext-proc, TLS unless --secure-serving=false), 9003 (gRPC health) and 9090 (metrics).
    """
    serve_picker(given_flags(parameters))

"""The command `epp`.

Without a subcommand its flags are those of `epp serve`, so that manifests written for the Go picker's binary work with
another image. Commands are loaded when they run: some need an extra, and all would take a second to import.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

import epp

__all__ = ["main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("epp.commands.serve:serve", "Serve as an ext-proc filter's endpoint picker."),
    "up": ("epp.commands.up:up", "Run an Envoy and the picker in front of model servers."),
    "demo": ("epp.commands.demo:demo", "Watch it work: Envoy, the picker and simulated pods."),
    "check": ("epp.commands.check:check", "Check a configuration file."),
    "migrate": ("epp.commands.migrate:migrate", "Turn older inference resources into today's."),
    "explain": ("epp.commands.explain:explain", "Say why an endpoint was, or would be, picked."),
    "simulate": ("epp.commands.simulate:simulate", "Compare configurations on a trace, with simulated pods."),
    "sim-server": ("epp.commands.sim_server:sim_server", "Run simulated vLLM servers."),
}
"""Subcommands: where each is, and what it does."""


class _Commands(click.Group):
    """Loads a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(epp.__version__, prog_name="epp", message="%(prog)s %(version)s")
def cli() -> None:
    """Endpoint picker: places each LLM request on the model server where it costs least.

    Flags without a command are those of `epp serve`.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line. To be called in the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while there is nothing to clean up, Ctrl-C is no traceback
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # it logs a line when Envoy is started beside it
    given = list(sys.argv[1:] if args is None else args)
    if given and given[0].startswith("-") and given[0] not in ("-h", "--help", "--version"):
        given.insert(0, "serve")
    cli.main(args=given, prog_name="epp")


if __name__ == "__main__":
    main()

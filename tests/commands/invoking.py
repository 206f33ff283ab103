"""Commands in this process, for what they print and how they end."""

from __future__ import annotations

from click.testing import CliRunner, Result

from epp.cli import cli

__all__ = ["invoke"]


def invoke(*args: str, stdin: str | bytes = "") -> Result:
    """Runs a command. An exception that is not meant for the user is raised."""
    result = CliRunner().invoke(cli, args, input=stdin, prog_name="epp")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result

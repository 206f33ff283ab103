"""How a command ends that cannot do what it is asked: one message for people, and an exit status.

0    done
1    it could not be done: a port is taken, a file cannot be used, nobody answers
2    it was asked wrongly: what to change is on the command line
128+n    ended by signal n before it was done
"""

from __future__ import annotations

from enum import IntEnum

import click

__all__ = ["Status", "fail"]


class Status(IntEnum):
    """Exit statuses of failures."""

    FAILED = 1
    USAGE = 2
    SIGNAL = 128


def fail(message: str, status: int = Status.FAILED) -> click.exceptions.Exit:
    """Prints what is wrong; the caller raises what comes back."""
    click.echo(f"epp: {message}", err=True)
    return click.exceptions.Exit(status)

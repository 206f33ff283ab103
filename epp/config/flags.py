"""Flags on the command line, in the forms that pflag has them, on top of click.

`--x=false`, `--x` and `--x=true` for switches; `--x value` and `--x=value` for the rest; `-v 4`, `-v4`, `-v=4`.
A switch takes no separate value: the word after it would be a positional argument, and there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from epp.config.errors import meant
from epp.config.flag_table import FLAGS, FlagKind

__all__ = ["PickerCommand", "flag_options", "given_flags", "normalised"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def given_flags(parameters: Mapping[str, object]) -> dict[str, str | tuple[str, ...]]:
    """The flags that were given, by name, from click's parameters (`grpc_port`). Others' parameters are left out."""
    by_parameter = {name.replace("-", "_"): name for name in FLAGS}
    found: dict[str, str | tuple[str, ...]] = {}
    for parameter, value in parameters.items():
        if parameter in by_parameter and isinstance(value, str | tuple) and value != ():
            found[by_parameter[parameter]] = value
    return found


def flag_options(command: Decorated) -> Decorated:
    """Decorates a command with all flags, as click options whose values are text."""
    for flag in reversed(list(FLAGS.values())):
        names = ["-v", "--v"] if flag.name == "v" else [f"--{flag.name}"]
        option = click.option(
            *names,
            type=str,
            default=None,
            multiple=flag.kind is FlagKind.LIST,
            metavar="TEXT" if flag.kind is FlagKind.LIST else flag.kind.value,
            help=flag.help,
        )
        command = option(command)
    return command


class PickerCommand(click.Command):
    """A command whose flags may be written as the Go picker's are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after the Go picker's forms are brought into its own."""
        options = [option for option in self.params if isinstance(option, click.Option)]
        others = {name: option.is_flag for option in options for name in option.opts}
        try:
            args = normalised(args, others)
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from None
        return super().parse_args(ctx, args)


def normalised(args: Sequence[str], others: Mapping[str, bool] | None = None) -> list[str]:
    """Arguments in the one form `--flag=value` that means the same everywhere.

    `others`: options of the command beside the flags, by name with dashes; True for those without a value.
    Raises ValueError for what pflag would take in another way than it looks, and says what to write.
    """
    return list(_normalised(iter(args), {"--help": True, "-h": True, **(others or {})}))


def _normalised(args: Iterator[str], others: Mapping[str, bool]) -> Iterator[str]:
    previous = ""
    for arg in args:
        name, equals, value = arg.partition("=")
        flag = FLAGS.get(name.removeprefix("--")) if name.startswith("--") else None
        if name == "-v" or (arg[:2] == "-v" and arg[2:].isdigit()):
            yield f"--v={value if equals else arg[2:] or _value(arg, args)}"
        elif flag and flag.kind is FlagKind.SWITCH:
            yield arg if equals else f"{arg}=true"
        elif flag:
            yield arg if equals else f"{arg}={_value(arg, args)}"
        elif name in others:
            yield arg
            if not equals and not others[name]:
                yield _value(arg, args)
        else:
            raise ValueError(_refusal(arg, previous, others))
        previous = arg


def _value(arg: str, args: Iterable[str]) -> str:
    for value in args:
        return value
    raise ValueError(f"{arg} needs a value")


def _refusal(arg: str, previous: str, others: Mapping[str, bool]) -> str:
    """Why an argument is not taken, and what to write."""
    name = arg.partition("=")[0]
    if name.startswith("--"):
        known = [*(f"--{flag}" for flag in FLAGS), *(other for other in others if other.startswith("--"))]
        return f"no flag {name[:80]!r}{meant(name, known).split('; known')[0]}"
    if name.startswith("-") and (name[1:] in FLAGS or f"-{name}" in others):
        return f"{arg[:80]!r}: write it with two dashes, -{arg[:80]}"
    if name.startswith("-"):
        return f"no flag {name[:80]!r}: flags have two dashes, but for -v and -h"
    flag = FLAGS.get(previous.removeprefix("--"))
    if flag and flag.kind is FlagKind.SWITCH:
        return f"unexpected argument {arg[:80]!r}: a switch takes its value after '=', write {previous}={arg[:80]}"
    return f"unexpected argument {arg[:80]!r}: every value belongs to a flag"

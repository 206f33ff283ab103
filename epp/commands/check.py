"""`epp check`: what a configuration says and what is wrong with it, without starting anything."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from epp.commands.failing import fail
from epp.config import (
    CheckReport,
    ConfigError,
    ConfigFile,
    Problem,
    check_text,
    effective_text,
    read_config,
    read_settings,
)
from epp.config.schema import schema_text

__all__ = ["check"]

EXIT_ABSENT = 2
"""The file works, but names plugins or sections of the Go picker that are not here."""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--effective", is_flag=True, help="Print all of it, defaults too, and where each is from.")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of configuration files, and nothing else.")
def check(file: Path | None, *, effective: bool, as_json: bool, schema: bool) -> None:
    """Check a configuration FILE.

    Exit status: 0 fine, 1 errors, 2 it names plugins or sections of the Go picker that are not here (the picker starts
    without them and says what it does instead).
    """
    if schema:
        click.echo(schema_text(), nl=False)
        return
    if file is None:
        raise click.UsageError("name the file to check")
    try:
        data = read_config(file)
    except ConfigError as error:
        raise fail(str(error)) from None
    report = check_text(data, str(file))
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2))
    else:
        _print(report, file)
    if effective and not report.errors:
        loaded = read_settings({"endpoint": ("127.0.0.1:8000",)}, os.environ, ConfigFile(data, str(file)))
        click.echo(effective_text(loaded), nl=False)
    if report.errors:
        sys.exit(1)
    if report.absent:
        sys.exit(EXIT_ABSENT)


def _plain(report: CheckReport) -> dict[str, list[dict[str, object]]]:
    def plain(problems: Sequence[Problem]) -> list[dict[str, object]]:
        return [
            {
                "source": problem.place.source,
                "line": problem.place.line,
                "column": problem.place.column,
                "key": problem.key,
                "message": problem.message,
            }
            for problem in problems
        ]

    return {name: plain(getattr(report, name)) for name in ("errors", "warnings", "absent", "notes")}


def _print(report: CheckReport, file: Path) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    kinds = (
        ("error", "bold red", report.errors),
        ("not here", "yellow", report.absent),
        ("warning", "yellow", report.warnings),
        ("note", "dim", report.notes),
    )
    for kind, style, problems in kinds:
        for problem in problems:
            console.print(Text.assemble((f"{kind}: ", style), str(problem)))
    if not report.errors:
        console.print(f"{file}: fine" if not report.absent else f"{file}: works, without what is not here")

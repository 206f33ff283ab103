"""`epp migrate`: older resources of the Gateway API inference extension in today's form."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from epp.commands.failing import Status, fail
from epp.manifests import MAX_BYTES, Finding, Level, Migration, Resource, read_manifest
from epp.manifests import migrate as migrated

__all__ = ["migrate"]

EXIT_LOST = 2
"""Something could not be carried over."""

STDIN = "-"

_STYLES = {Level.ERROR: "bold red", Level.LOST: "yellow", Level.NOTE: "dim"}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there, not to standard output.")
def migrate(files: Sequence[str], *, output: Path | None) -> None:
    """Turn older inference resources into today's.

    Reads Kubernetes manifests in YAML or JSON, of one or many resources ("-" is standard input). InferencePools,
    InferenceModels, InferenceObjectives and InferenceModelRewrites of inference.networking.x-k8s.io become v1 pools,
    and objectives and rewrites of llm-d.ai; routes that name such a pool name the new one. All else goes through as it
    is.

    What could not be carried over is said on standard error, with file and line and what to do about it. Exit status:
    0 all is carried over, 2 something could not be, 1 errors, and nothing is written.
    """
    resources: list[Resource] = []
    findings: list[Finding] = []
    for name in files:
        manifest = read_manifest(_read(name), "stdin" if name == STDIN else name)
        resources.extend(manifest.resources)
        findings.extend(manifest.findings)
    migration = migrated(resources)
    findings.extend(migration.findings)
    _print(findings)
    if any(finding.level is Level.ERROR for finding in findings):
        raise fail("nothing is written, because of the errors above")
    _write(migration.text, output)
    _sum_up(migration)
    if any(finding.level is Level.LOST for finding in findings):
        sys.exit(EXIT_LOST)


def _read(name: str) -> bytes:
    try:
        if name == STDIN:
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise fail(f"{name}: cannot be read: {error.strerror or type(error).__name__}") from None
    except ValueError:
        raise fail(f"{name!r}: is no path", Status.USAGE) from None


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise fail(f"{output}: cannot be written: {error.strerror or type(error).__name__}") from None


def _print(findings: Sequence[Finding]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(Text.assemble((f"{finding.level.value}: ", _STYLES[finding.level]), str(finding)))


def _sum_up(migration: Migration) -> None:
    click.echo(f"{migration.translated} translated, {migration.passed} passed through as they are", err=True)

"""Validates the simulator: `python -m bench.validation --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from bench.compare.processes import ContestError
from bench.extproc.tables import MissingMarkerError, with_tables
from bench.http.interrupts import run
from bench.validation.closed_forms import CASES, measure
from bench.validation.plot import draw
from bench.validation.report import tables
from bench.validation.results import Results, as_json, read_results
from bench.validation.vllm import available, measure_vllm
from bench.validation.wire import measure_wire

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "simulator.md"

CALLS = 16_000
"""Of a closed form, per seed."""

INTERRUPTED = 130


class Part(Enum):
    """What can be validated by itself."""

    CLOSED_FORMS = "closed-forms"
    WIRE = "wire"
    VLLM = "vllm"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for. The exit status: 1 when something could not be measured."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    results, failed = Results(), False
    try:
        for name in options.only or [part.value for part in Part]:
            failed |= not _measure(Part(name), results, options, console)
    except KeyboardInterrupt:
        return INTERRUPTED
    for table in tables(results):
        print(f"\n{table.text()}", end="")
    failed |= not _keep(results, console, write=options.write)
    return 1 if failed else 0


def _measure(part: Part, results: Results, options: argparse.Namespace, console: Console) -> bool:
    """Adds a part to the results. False when it failed, which leaves the others alone."""
    console.print(Text(part.value, "dim"))
    parts: dict[Part, Callable[[], None]] = {
        Part.CLOSED_FORMS: lambda: _closed_forms(results, options, console),
        Part.WIRE: lambda: _wire(results, console),
        Part.VLLM: lambda: _vllm(results, console),
    }
    try:
        parts[part]()
    except ContestError as error:
        console.print(Text(f"{part.value}: not measured: {error}", "red"))
        return False
    return True


def _closed_forms(results: Results, options: argparse.Namespace, console: Console) -> None:
    for case in CASES:
        console.print(Text(f"  {case.name}", "dim"))
        results.closed_forms.append(measure(case, range(1, options.seeds + 1), options.calls))


def _wire(results: Results, console: Console) -> None:
    results.wire = run(lambda _: measure_wire(console))


def _vllm(results: Results, console: Console) -> None:
    if not available():
        console.print(Text("  skipped: there is no vLLM; `make vllm-env` installs one", "yellow"))
        return
    results.vllm = run(lambda _: measure_vllm(console))


def _keep(results: Results, console: Console, *, write: bool) -> bool:
    """Keeps results where version control does not look, or replaces those of the page. False: the page has no place.

    Parts that were not measured now stay as they were.
    """
    folder = ROOT / "bench" / "results" / ("" if write else "local")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "validation.json"
    try:
        kept = read_results(file)
    except msgspec.DecodeError as error:
        console.print(Text(f"{file.name} is replaced: {error}", "yellow"))
        kept = Results()
    for field in fields(Results):
        if measured := getattr(results, field.name):
            setattr(kept, field.name, measured)
    file.write_bytes(as_json(kept))
    draw(kept, folder / "validation.svg")
    if write:
        try:
            PAGE.write_text(with_tables(PAGE.read_text(), tables(kept)))
        except MissingMarkerError as error:
            console.print(Text(f"error: {PAGE.name}: {error}", "red"))
            return False
    console.print(Text(f"kept in {folder.relative_to(ROOT)}" + (f" and {PAGE.name}" if write else ""), "dim"))
    return True


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(prog="python -m bench.validation", description="Validates the simulator.")
    flags.add_argument(
        "--only", action="append", choices=[part.value for part in Part], metavar="PART", help="%(choices)s; repeatable"
    )
    flags.add_argument("--write", action="store_true", help="put tables and plot into docs/simulator.md")
    flags.add_argument("--seeds", type=int, default=12, help="of each closed form (default: %(default)s)")
    flags.add_argument("--calls", type=int, default=CALLS, help="of each seed (default: %(default)s)")
    return flags


if __name__ == "__main__":
    sys.exit(main())

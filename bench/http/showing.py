"""Shows runs: tables on the terminal; JSON, a page with plots and lines of calls as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from bench.http.results import CallRecord
from epp.reports.document import Document, write_json
from epp.reports.page import write_page
from epp.reports.runs import Run
from epp.reports.slo import Slo
from epp.reports.summaries import record_of
from epp.reports.tables import LEGEND, tables

__all__ = ["GROUPS", "call_lines", "show_runs", "terminal", "write_runs"]

GROUPS = ("overview", "latency", "balance and predictions")
"""Tables of `epp.reports` that are shown."""


def terminal() -> Console:
    """Where results go: the terminal, or a file of 120 columns."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def show_runs(console: Console, runs: Sequence[Run], slo: Slo) -> None:
    """Prints tables, and failures where there are any. Where nothing was answered there is nothing for a table."""
    records = [record_of(run, slo) for run in runs]
    if any(run.calls.ok.any() for run in runs):
        for table in tables(records, GROUPS):
            console.print(table)
            console.print()
    for record in records:
        if record.figures.failures:
            counts = ", ".join(f"{count} {kind}" for kind, count in record.figures.failures.items())
            console.print(Text(f"{record.policy}: of {record.figures.calls} calls failed: {counts}", "yellow"))
    if len(runs) > 1:
        console.print(Text(LEGEND, "dim"))


def write_runs(
    runs: Sequence[Run], slo: Slo, settings: Mapping[str, str], *, json_file: Path | None, html_file: Path | None
) -> None:
    """Writes what was asked for. Raises OSError, and DrawingError where matplotlib is missing."""
    if json_file:
        write_json(json_file, Document([record_of(run, slo) for run in runs], slo, settings, runs))
    if html_file:
        text = "\n".join(f"{name}: {value}" for name, value in settings.items())
        write_page(runs, html_file, "Load on the wire", text, slo=slo)


def call_lines(records: Sequence[CallRecord]) -> bytes:
    """One JSON object per call, in the order in which they were due; what is not known is null. Seconds."""
    return b"".join(msgspec.json.encode(_line(record)) + b"\n" for record in records)


def _line(record: CallRecord) -> dict[str, object]:
    reply = record.reply
    gaps = sorted(reply.gaps_s)
    return {
        "call": record.index,
        "request_id": record.request_id,
        "due_s": record.due_s,
        "sent_s": record.sent_s,
        "ttft_s": reply.first_s - record.due_s,
        "e2e_s": reply.end_s - record.due_s,
        "itl_mean_s": sum(gaps) / len(gaps) if gaps else None,
        "itl_p99_s": gaps[int(0.99 * (len(gaps) - 1))] if gaps else None,
        "prompt_tokens": reply.prompt_tokens,
        "output_tokens": reply.output_tokens,
        "cached_tokens": reply.cached_tokens,
        "server": record.server,
        "decision_id": record.decision_id,
        "failure": reply.failure.value,
        "detail": reply.detail,
    }

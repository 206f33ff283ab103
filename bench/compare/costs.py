"""What pickers used, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from epp.reports.runs import Run

__all__ = ["cost_table"]


def cost_table(runs: Sequence[Run]) -> Table:
    """One row per run, in the order in which they came."""
    table = Table(title="what the pickers used", title_justify="left", box=None, pad_edge=False)
    table.add_column("picker")
    for heading in ("seed", "calls", "CPU, s", "CPU per call, ms", "CPU, % of a core", "peak memory, MB"):
        table.add_column(heading, justify="right")
    for run in runs:
        cpu_s, per_call_s = run.counters["picker_cpu_s"], run.counters["picker_cpu_per_call_s"]
        busy = 100 * cpu_s / run.duration_s if run.duration_s > 0 else 0.0
        memory = run.counters["picker_rss_bytes"] / 1e6
        cells = (f"{len(run.calls)}", f"{cpu_s:.2f}", f"{per_call_s * 1e3:.2f}", f"{busy:.1f}", f"{memory:.0f}")
        table.add_row(Text(run.policy), str(run.seed), *cells)
    return table

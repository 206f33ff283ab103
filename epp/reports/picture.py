"""One picture with the essence of a comparison, for a document: times to the first token, and cache hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epp.reports.drawing import save_picture
from epp.reports.plots import RunsByPolicy, draw_cumulative, draw_hit_bars
from epp.reports.runs import Run
from epp.reports.slo import Slo
from epp.reports.summaries import record_of, summaries

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_picture"]


def draw_picture(runs: Sequence[Run], path: Path) -> None:
    """Draws runs of one workload and condition into a PNG, SVG or PDF file, policies by mean TTFT.

    Raises ValueError when there are none or several workloads, DrawingError when matplotlib is missing or the suffix is
    another one, and OSError.
    """
    cases = summaries(record_of(run, Slo()) for run in runs)
    if len(cases) != 1:
        raise ValueError(f"a picture shows one workload under one condition, not {len(cases)}")
    ((case, policies),) = cases.items()
    by_policy = {one.policy: [run for run in runs if run.policy == one.policy] for one in policies}

    def draw(figure: Figure) -> None:
        _draw(figure, by_policy, str(case))

    save_picture(path, 10.0, max(3.4, 1.2 + 0.24 * len(by_policy)), draw)


def _draw(figure: Figure, runs: RunsByPolicy, name: str) -> None:
    left, right = figure.subplots(1, 2)
    draw_cumulative(left, runs, f"{name}: time to first token, s", lambda calls: calls.ttft_s)
    left.set_ylabel("share of calls")
    left.legend(loc="lower right", fontsize=7)
    draw_hit_bars(right, runs)

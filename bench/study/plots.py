"""Pictures of the study: every policy against the default, and what becomes of the longest prefix alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.study.conditions import HOMOGENEOUS
from bench.study.criteria import DEFAULT, LONGEST_PREFIX, SHARED_FIRST_BLOCK, mean_ratio
from bench.study.plan import tuned
from bench.study.results import Results
from epp.reports import Case, Summary, summaries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_longest_prefix", "draw_ratios"]

_TUNED, _HELD_OUT, _MARK = "#9aa5b1", "#1b5e9b", "#d9822b"
_PANELS = (("ttft_p90_s", "p90 TTFT"), ("e2e_mean_s", "mean end-to-end"))
_FARTHEST = 30.0
"""Times the default. What is worse is drawn there."""

_SHOWN = (DEFAULT, "least-requests", LONGEST_PREFIX)
_TRAP_PANELS = (
    ("ttft_p90_s", "p90 TTFT, s"),
    ("imbalance_tokens", "computed tokens, busiest pod over mean"),
    ("hit_share", "prompt tokens found in caches"),
)


def draw_ratios(results: Results, path: Path) -> None:
    """A dot for each policy and case: its latency over the default's. The file's name says which kind of picture."""
    cases = summaries(results.records)
    names = {summary.policy for policies in cases.values() for summary in policies} - {DEFAULT}
    order = sorted(names, key=lambda name: (-mean_ratio(cases, name, DEFAULT, "ttft_p90_s"), name))
    pyplot = _pyplot()
    size = (10, 1.2 + 0.3 * len(order))
    figure, panels = pyplot.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axes, (measure, heading) in zip(panels, _PANELS, strict=True):
        for row, name in enumerate(order):
            _draw_policy(axes, row, cases, name, measure)
        axes.axvline(1.0, color="#6b7078", linewidth=0.9)
        axes.set(xscale="log", title=f"{heading}, times the default's", xlim=(0.4, _FARTHEST * 1.3))
        axes.set_xticks([0.5, 1, 2, 5, 10, 30], ["0.5", "1", "2", "5", "10", "30+"])
        axes.minorticks_off()
        _finish(axes)
    panels[0].set_yticks(range(len(order)), order)
    handles = [
        axes.plot([], [], "o", markersize=size, color=colour, label=label)[0]
        for size, colour, label in (
            (4, _TUNED, "a case of tuned workloads"),
            (4, _HELD_OUT, "of held-out workloads"),
            (7, _MARK, "geometric mean"),
        )
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    _save(pyplot, figure, path)


def draw_longest_prefix(results: Results, path: Path) -> None:
    """Latency and balance where every prompt begins alike, for the longest prefix alone and for others."""
    policies = summaries(results.records)[Case(SHARED_FIRST_BLOCK, HOMOGENEOUS)]
    by_name = {summary.policy: summary for summary in policies}
    shown = [by_name[name] for name in _SHOWN if name in by_name]
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, 3, figsize=(10, 2.4), sharey=True, layout="constrained")
    for axes, (measure, heading) in zip(panels, _TRAP_PANELS, strict=True):
        means = [summary.estimate(measure).mean for summary in shown]
        bars = axes.barh(range(len(shown)), means, 0.6, color=[_colour(summary) for summary in shown])
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
        axes.margins(x=0.2)
        axes.set_title(heading)
        _finish(axes)
    panels[0].set_yticks(range(len(shown)), [summary.policy for summary in shown])
    panels[0].invert_yaxis()
    _save(pyplot, figure, path)


def _draw_policy(axes: Axes, row: int, cases: dict[Case, list[Summary]], name: str, measure: str) -> None:
    """One row of dots; cases stand a little apart in the order of the study, so the picture is the same each time."""
    for place, (case, policies) in enumerate(cases.items()):
        ratio = mean_ratio({case: policies}, name, DEFAULT, measure)
        if np.isfinite(ratio):
            height = row + 0.5 * (place / len(cases) - 0.5)
            colour = _TUNED if tuned(case.workload) else _HELD_OUT
            axes.plot(min(ratio, _FARTHEST), height, "o", markersize=2.5, color=colour, alpha=0.7)
    mean = mean_ratio(cases, name, DEFAULT, measure)
    if np.isfinite(mean):
        axes.plot(min(mean, _FARTHEST), row, "o", markersize=6, color=_MARK)


def _colour(summary: Summary) -> str:
    return {DEFAULT: _HELD_OUT, LONGEST_PREFIX: _MARK}.get(summary.policy, _TUNED)


def _pyplot() -> Any:
    import matplotlib as mpl  # noqa: PLC0415 - takes a second, and few runs draw

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "epp", "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 10})
    from matplotlib import pyplot  # noqa: PLC0415

    return pyplot


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e4e6ea", linewidth=0.7)
    axes.set_axisbelow(True)


def _save(pyplot: Any, figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)

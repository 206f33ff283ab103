"""The plots of a report: how times are distributed, what pods did, what caches gave, how good predictions were.

Each takes runs of one workload and condition, and draws on a figure that it is given. Everything is thinned to what an
eye can see, so that the size of a page does not grow with the number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from epp.reports.drawing import GRID, INK, MUTED, SERIES, line_style, log_axis
from epp.reports.runs import CallResults, PodTimeline, Run
from epp.reports.sheets import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MOST_PODS",
    "POINTS",
    "RunsByPolicy",
    "draw_cumulative",
    "draw_distributions",
    "draw_hit_bars",
    "draw_hits",
    "draw_predicted_hits",
    "draw_predicted_ttft",
    "draw_timelines",
    "has_predictions",
    "panel_rows",
    "shown",
]

Floats = NDArray[np.float64]
RunsByPolicy = Mapping[str, Sequence[Run]]
"""Runs of each policy, one per seed; policies in the order in which they are drawn."""

MOST_PODS = 8
"""Pods that have a line each in a timeline; of more, the least, the median and the most are drawn."""

POINTS = 120
"""Points of a line, and of a cloud."""

_QUANTILES = np.unique(np.concatenate((np.linspace(0.005, 0.9, POINTS - 40), 1 - np.geomspace(0.1, 0.001, 40))))
_LONGEST_NAME = 28
_PANELS_ABREAST = 5


def shown(name: str) -> str:
    """A policy's name, cut to what fits beside a plot."""
    name = clean(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def draw_distributions(figure: Figure, runs: RunsByPolicy, *, legend: bool = False) -> None:
    """Which share of the answered calls took at most how long: TTFT, TPOT, end-to-end; a line per policy."""
    kinds: tuple[tuple[str, Callable[[CallResults], Floats]], ...] = (
        ("time to first token, s", lambda calls: calls.ttft_s),
        ("time per output token, ms", lambda calls: calls.tpot_s * 1e3),
        ("end to end, s", lambda calls: calls.e2e_s),
    )
    axes = figure.subplots(1, len(kinds), sharey=True)
    for place, (axis, (title, times)) in enumerate(zip(axes, kinds, strict=True)):
        draw_cumulative(axis, runs, title, times)
        axis.set_ylabel("" if place else "share of calls")
    if legend:
        axes[0].legend(loc="lower right")


def draw_cumulative(axis: Axes, runs: RunsByPolicy, title: str, times: Callable[[CallResults], Floats]) -> None:
    """One distribution, on a logarithmic axis."""
    axis.set(xscale="log", title=title, ylim=(0, 1))
    log_axis(axis.xaxis, (1.0, 2.0, 5.0))
    for place, (policy, repeats) in enumerate(runs.items()):
        values = np.concatenate([times(run.calls)[run.calls.ok] for run in repeats])
        values = values[np.isfinite(values) & (values > 0)]
        if values.size:
            colour, dash = line_style(place)
            axis.plot(np.quantile(values, _QUANTILES), _QUANTILES, color=colour, linestyle=dash, label=shown(policy))


def draw_hits(figure: Figure, runs: RunsByPolicy) -> None:
    """Share of the prompt tokens that caches gave, over the share that a cache without bounds would have given."""
    draw_hit_bars(figure.subplots(), runs)


def draw_hit_bars(axis: Axes, runs: RunsByPolicy) -> None:
    """The same, beside other plots."""
    places = np.arange(len(runs))
    hits, ceilings = zip(*map(_hit_shares, runs.values()), strict=True)
    axis.barh(places, ceilings, color=GRID, height=0.7, label="ceiling: a cache without bounds")
    axis.barh(places, hits, color=SERIES[0], height=0.4, label="found in caches")
    for place, hit in enumerate(hits):
        if np.isfinite(hit):
            axis.text(hit, place, f" {hit:.1f}", va="center", fontsize=7)
    axis.set_yticks(places, [shown(name) for name in runs])
    axis.tick_params(axis="y", colors=INK)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set_title("prompt tokens, %")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)


def draw_timelines(figure: Figure, runs: RunsByPolicy) -> None:
    """Running and waiting calls and KV use of the pods over time: a row per policy, of its first run."""
    panels: tuple[tuple[str, Callable[[PodTimeline], Floats]], ...] = (
        ("running", lambda line: line.running),
        ("waiting", lambda line: line.waiting),
        ("KV cache in use, %", lambda line: line.kv_usage * 100),
    )
    figure.set_layout_engine("none")  # to work out where 39 panels go takes longer than to draw them
    height = figure.get_figheight()
    places = {"left": 0.04, "right": 0.99, "top": 1 - 0.25 / height, "bottom": 0.45 / height}
    spaces = {"hspace": 0.45, "wspace": 0.12}
    axes = figure.subplots(
        len(runs), len(panels), sharex=True, sharey="col", squeeze=False, gridspec_kw={**places, **spaces}
    )
    for row, (policy, repeats) in enumerate(runs.items()):
        timeline = repeats[0].timeline
        for axis, (_, values) in zip(axes[row], panels, strict=True):
            if timeline is not None:
                _draw_pods(axis, timeline.at_s, values(timeline))
        axes[row][0].set_title(shown(policy))
    for axis, (title, _) in zip(axes[0], panels, strict=True):
        axis.set_title(title, loc="right", color=MUTED)
        axis.set_ylim(bottom=0)
    for axis in axes[-1]:
        axis.set_xlabel("s")


def draw_predicted_ttft(figure: Figure, runs: RunsByPolicy) -> None:
    """The time to the first token that the picker expected (across) and that was seen (up); a panel per policy."""
    for axis, calls in _panels(figure, runs):
        known = calls.ok & (calls.predicted_ttft_s > 0) & (calls.ttft_s > 0)
        axis.set(xscale="log", yscale="log")
        log_axis(axis.xaxis)
        log_axis(axis.yaxis)
        _draw_cloud(axis, calls.predicted_ttft_s[known], calls.ttft_s[known])


def draw_predicted_hits(figure: Figure, runs: RunsByPolicy) -> None:
    """The hit tokens, in thousands, that the picker expected (across) and that servers told (up)."""
    for axis, calls in _panels(figure, runs):
        known = calls.ok & np.isfinite(calls.predicted_cached_tokens) & (calls.cached_tokens >= 0)
        _draw_cloud(axis, calls.predicted_cached_tokens[known] / 1e3, calls.cached_tokens[known] / 1e3)


def has_predictions(run: Run) -> bool:
    """Whether the picker said what it expected of any call."""
    return bool(np.isfinite(run.calls.predicted_ttft_s).any() or np.isfinite(run.calls.predicted_cached_tokens).any())


def panel_rows(panels: int) -> int:
    """Rows of panels in the plots of predictions."""
    return -(-panels // _PANELS_ABREAST)


def _panels(figure: Figure, runs: RunsByPolicy) -> Iterator[tuple[Axes, CallResults]]:
    """A panel for each policy, with the calls of its first run."""
    axes = figure.subplots(panel_rows(len(runs)), _PANELS_ABREAST, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(runs) :]:
        axis.set_axis_off()
    for axis, (policy, repeats) in zip(axes.flat, runs.items(), strict=False):
        axis.set_title(shown(policy))
        yield axis, repeats[0].calls


def _draw_cloud(axis: Axes, expected: Floats, seen: Floats) -> None:
    if not expected.size:
        axis.text(0.5, 0.5, "no predictions", ha="center", va="center", color=MUTED, transform=axis.transAxes)
        return
    some = np.unique(np.linspace(0, expected.size - 1, POINTS, dtype=np.int64))
    axis.plot(expected[some], seen[some], ".", color=SERIES[0], markersize=3, markeredgewidth=0)
    axis.axline((1.0, 1.0), (2.0, 2.0), color=MUTED, linewidth=0.8)


def _hit_shares(runs: Sequence[Run]) -> tuple[float, float]:
    """Hits and ceiling in percent of the prompt tokens of calls whose servers told."""
    hits = ceiling = prompt = 0
    for run in runs:
        calls = run.calls
        told = calls.ok & (calls.cached_tokens >= 0)
        hits += int(calls.cached_tokens[told].sum())
        ceiling += int(np.maximum(calls.reusable_tokens[told], 0).sum())
        prompt += int(calls.prompt_tokens[told].sum())
    return (100 * hits / prompt, 100 * ceiling / prompt) if prompt else (np.nan, np.nan)


def thinned(at_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """At most `POINTS` times, each with the mean of what it stands for; values are (times, lines)."""
    starts = np.unique(np.linspace(0, len(at_s), min(POINTS, len(at_s)), endpoint=False, dtype=np.int64))
    counts = np.diff(starts, append=len(at_s))
    return at_s[starts], np.add.reduceat(values, starts, axis=0) / counts[:, None]


def _draw_pods(axis: Axes, at_s: Floats, values: Floats) -> None:
    if not len(at_s):
        return
    pods = values.shape[1]
    if pods > MOST_PODS:
        values = np.quantile(values, (0, 0.5, 1), axis=1).T
    at_s, values = thinned(at_s, values)
    for pod in range(values.shape[1]):
        colour, dash = line_style(pod) if pods <= MOST_PODS else (INK if pod == 1 else MUTED, "solid")
        axis.plot(at_s, values[:, pod], color=colour, linestyle=dash, linewidth=0.8)

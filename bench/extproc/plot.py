"""Draws what a request costs by the length of its prompt, and what a reply chunk costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.extproc.comparison import Comparison
from bench.extproc.report import chunk_costs, size_text
from bench.extproc.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_COLOURS = ("#8a8f98", "#4f9ed9", "#1b5e9b", "#d9822b")
"""The bare server stands back; ours are of one hue."""

_TICKS_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


def draw(results: Results, path: Path) -> None:
    """Writes a picture of the comparison; its kind follows from the file's name."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second, and few runs draw

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "epp", "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 10})
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6), width_ratios=(3, 2), layout="constrained")
    _draw_requests(left, results)
    _draw_chunks(right, results)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    machine = results.machine
    caption = f"{machine.at}, {machine.cores} cores of {machine.cpu}, load average before {machine.load_before:.1f}"
    figure.supxlabel(caption, fontsize=7, color="#6b7078")
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _draw_requests(axes: Axes, results: Results) -> None:
    for comparison, style, inside, arrivals in (
        (results.requests, "o-", None, ""),
        (results.paced_requests, "o:", "white", " (paced)"),
    ):
        if comparison is None:
            continue
        loads = [(load.exchange.prompt_bytes, costs) for load, costs in comparison.costs if load.frame_bytes is None]
        for place, server in enumerate(comparison.servers):
            sizes = [size for size, _ in loads]
            us = [costs[place].cpu_us for _, costs in loads]
            colour = _COLOURS[place]
            axes.plot(sizes, us, style, markersize=4, color=colour, mfc=inside or colour, label=server + arrivals)
    sizes = [load.exchange.prompt_bytes for load, _ in results.requests.costs] if results.requests else []
    axes.set(xscale="log", yscale="log", title="CPU per request", xlabel="prompt", ylabel="us")
    axes.set_xticks(sorted(set(sizes)), [size_text(size) for size in sorted(set(sizes))], minor=False)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [tick for tick in _TICKS_US if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    _finish(axes)


def _draw_chunks(axes: Axes, results: Results) -> None:
    comparisons = [(one, name) for one, name in ((results.chunks, "bursts"), (results.paced_chunks, "paced")) if one]
    for group, (comparison, _) in enumerate(comparisons):
        width = 0.8 / len(comparison.servers)
        for place in range(len(comparison.servers)):
            us = _chunk_us(comparison, place)
            at = group + (place - (len(comparison.servers) - 1) / 2) * width
            bar = axes.bar(at, us, width * 0.92, color=_COLOURS[place])
            axes.bar_label(bar, fmt="%.0f", fontsize=8, padding=2)
    axes.set_xticks(range(len(comparisons)), [name for _, name in comparisons])
    axes.set(title="CPU per reply chunk (full mode)", ylabel="us")
    _finish(axes)


def _chunk_us(comparison: Comparison, server: int) -> float:
    """Of a chunk in the longest reply that was played."""
    return chunk_costs(comparison, server)[-1][1]


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e6ea", linewidth=0.7)
    axes.set_axisbelow(True)

"""Draws what was measured against what was simulated: quantile by quantile, so that a point on the line is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.validation.report import MEASURES
from bench.validation.results import Pair, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_COLOURS = ("#1b5e9b", "#d9822b", "#3d8b5f")
_MARKERS = ("o", "s", "^")
_SHARES = np.arange(0.05, 0.96, 0.05)
"""Quantiles that are shown: beyond them a few calls decide."""

_TICKS_MS = (10, 15, 20, 25, 30, 50, 70, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000)


def draw(results: Results, path: Path) -> None:
    """Writes a picture: a row for simulated servers, one for vLLM. Its kind follows from the file's name."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second, and few runs draw

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "epp", "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 10})
    from matplotlib import pyplot  # noqa: PLC0415

    parts = [("simulated servers", results.wire), ("vLLM on CPU", results.vllm)]
    rows = [(name, part.pairs) for name, part in parts if part]
    if not rows:
        return
    figure, axes = pyplot.subplots(len(rows), len(MEASURES), figsize=(10, 3.6 * len(rows)), squeeze=False)
    for (name, pairs), row in zip(rows, axes, strict=True):
        for (measure, of), place in zip(MEASURES.items(), row, strict=True):
            _draw_pairs(place, [(pair, of(pair.measured), of(pair.simulated)) for pair in pairs])
            place.set_title(f"{name}: {measure}")
        row[0].legend(fontsize=7, frameon=False, loc="upper left")
        row[0].set_ylabel("simulated, ms")
    for place in axes[-1]:
        place.set_xlabel("measured, ms")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _draw_pairs(axes: Axes, pairs: Sequence[tuple[Pair, list[float], list[float]]]) -> None:
    values = []
    for place, (pair, measured, simulated) in enumerate(pairs):
        if measured and simulated:
            seen, modelled = 1e3 * np.quantile(measured, _SHARES), 1e3 * np.quantile(simulated, _SHARES)
            colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
            axes.plot(seen, modelled, marker, color=colour, markersize=3.5, label=pair.name)
            values += [*seen, *modelled]
    if values:
        ends = (min(values) * 0.9, max(values) * 1.1)
        axes.plot(ends, ends, color="#8a8f98", linewidth=0.8, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        ticks = [tick for tick in _TICKS_MS if ends[0] <= tick <= ends[1]]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
            axis.set_ticks((), minor=True)
    axes.grid(visible=True, color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)

"""Figures of matplotlib as SVG that stands inside a page, or as a picture of their own.

matplotlib is loaded when something is drawn, and not before. Colours of a page's figures are CSS variables, so that the
page sets them for light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "DASHES",
    "GRID",
    "INK",
    "LIGHT",
    "MUTED",
    "SERIES",
    "DrawingError",
    "inline_svg",
    "line_style",
    "log_axis",
    "new_figure",
    "save_picture",
]

INK, MUTED, GRID = "#1b1f24", "#66707b", "#d5dae0"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a8518a", "#b98900", "#3b9fd8")
"""Six hues that people with any colour vision tell apart (after Okabe and Ito, 2008), darkened for white paper."""
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
"""Beyond six lines the hues come again with another dash: 24 lines differ."""

_DARK_SERIES = ("#58aee8", "#f28e4b", "#35c79d", "#dd8fc2", "#dcb13c", "#9ad3f5")
_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", **{colour: f"c{n}" for n, colour in enumerate(SERIES)}}

LIGHT: Mapping[str, str] = {name: colour for colour, name in _NAMES.items()}
"""CSS variables of a page and their colours on white."""
DARK: Mapping[str, str] = {
    "ink": "#e4e8ec",
    "muted": "#98a2ad",
    "grid": "#343b44",
    **{f"c{n}": colour for n, colour in enumerate(_DARK_SERIES)},
}
"""The same on black."""

_SETTINGS: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names that others chose may hold a dollar sign
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


class DrawingError(Exception):
    """Nothing can be drawn; the message is for the operator."""


def line_style(place: int) -> tuple[str, Any]:
    """Colour and dash of the n-th line."""
    return SERIES[place % len(SERIES)], DASHES[place // len(SERIES) % len(DASHES)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches. Raises DrawingError when matplotlib is not installed."""
    figure: Figure = _loaded("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure


def log_axis(axis: Axis, within: Sequence[float] = (1.0,)) -> None:
    """Makes ticks of a logarithmic axis plain numbers, at these multiples of powers of ten."""
    ticker = _loaded("matplotlib.ticker")
    axis.set_major_locator(ticker.LogLocator(subs=within, numticks=7))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(ticker.NullFormatter())


def _loaded(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise DrawingError(
            f"drawing needs matplotlib, and it cannot be loaded ({error}): pip install 'endpoint-picker[report]'"
        ) from error


def inline_svg(name: str, title: str, width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """What `draw` draws, as an SVG element for a page; `name` is its own on that page. Raises DrawingError.

    The same drawing gives the same text. Nothing in it points out of it.
    """
    with _style(name):
        figure = new_figure(width, height)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    head = f'<svg class="plot" role="img" aria-label="{escape(title)}" viewBox="0 0 {width * 72:g} {height * 72:g}">'
    return head + _embedded(text.getvalue(), name)


def save_picture(path: Path, width: float, height: float, draw: Callable[[Figure], None]) -> None:
    """Writes what `draw` draws to a file: PNG, SVG or PDF by its suffix. Raises DrawingError, or OSError."""
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise DrawingError(f"{path}: pictures end in .png, .svg or .pdf")
    with _style("picture", {"svg.fonttype": "path"}):
        figure = new_figure(width, height)
        draw(figure)
        dates = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(path, dpi=160, facecolor="white", metadata=dates[path.suffix])


@contextmanager
def _style(salt: str, more: Mapping[str, Any] | None = None) -> Iterator[None]:
    mpl = _loaded("matplotlib")
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks: the browser has them
        mpl.rcdefaults()  # whatever the user's own settings are, the same runs give the same page
        mpl.rcParams.update({**_SETTINGS, "svg.hashsalt": salt, **(more or {})})
        yield


def _embedded(svg: str, name: str) -> str:
    """The file without its head, with ids that no other figure on the page has. Text between tags stays as it is."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r"<[^>]+>", lambda tag: _shortened(_renamed(tag[0], name, used)), body)
    body = re.sub(r'<path [^>]*style="fill: none"/>', "", body)  # what is neither filled nor drawn
    return re.sub(r">\s*\n\s*<", "><", body).strip()


def _renamed(tag: str, name: str, used: Collection[str]) -> str:
    """Ids only where they are used; colours as variables."""
    tag = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", tag)
    tag = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', tag).replace("url(#", f"url(#{name}-")
    return re.sub("|".join(_NAMES), lambda found: f"var(--{_NAMES[found[0]]})", tag)


def _shortened(tag: str) -> str:
    """A tenth of a point is finer than a screen; fonts are the page's."""
    tag = re.sub(r"\s+", " ", tag)
    tag = re.sub(r"(?<=\d)\.(?:0\d*|([1-9])\d*)(?=[ \")])", lambda found: f".{found[1]}" if found[1] else "", tag)
    tag = re.sub(r"(?<=[ML ]) (?=[-\d])|(?<=\d) (?=[ML])", "", tag) if tag.startswith("<path") else tag
    tag = re.sub(r" font-family: [^;\"]*;", "", tag)
    return tag.replace("rotate(-0 ", "rotate(0 ")

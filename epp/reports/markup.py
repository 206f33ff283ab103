"""Pieces of a report's page as HTML. Whatever others chose is escaped here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from epp.reports.drawing import DARK, LIGHT, line_style
from epp.reports.losses import Losses, WorstCall
from epp.reports.sheets import Mark, Sheet, clean, number

__all__ = ["document", "element", "heat_table", "legend", "sheet_table", "text", "worst_table"]

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --soft: #f4f6f8; --good: #00734f; --loss: #d55e00; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --soft: #1d232a; --good: #4fd6a9; --loss: #f28e4b; DARK } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1080px; padding: 24px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { border-top: 1px solid var(--grid); font-size: 20px; margin: 48px 0 8px;
  padding-top: 20px; } h3 { font-size: 15px; margin: 28px 0 6px; }
p.note, figcaption { color: var(--muted); font-size: 13px; margin: 4px 0 8px; max-width: 80ch; }
pre { background: var(--soft); font-size: 12px; overflow-x: auto; padding: 10px 12px; white-space: pre-wrap; }
.wide { overflow-x: auto; } figure { margin: 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { color: var(--muted); padding-bottom: 4px; text-align: left; }
th { color: var(--muted); font-weight: 600; text-align: right; vertical-align: bottom; }
th, td { border-bottom: 1px solid var(--grid); padding: 3px 10px 3px 0; }
td { text-align: right; white-space: nowrap; } th:first-child, td:first-child { text-align: left; white-space: normal; }
td.best { color: var(--good); font-weight: 700; } td.tied { color: var(--good); }
td.heat { background: color-mix(in srgb, var(--loss) var(--part), transparent); padding-left: 10px; }
details { margin: 10px 0; } summary { cursor: pointer; font-weight: 600; }
ul.legend { display: flex; flex-wrap: wrap; font-size: 13px; gap: 2px 18px; list-style: none; margin: 6px 0;
  padding: 0; }
svg.key { height: 8px; margin-right: 6px; width: 34px; }
svg.plot { display: block; height: auto; max-width: 100%; width: 100%; }
svg.plot * { stroke-linejoin: round; } svg text { font-family: system-ui, sans-serif; }
@media print { details { display: none; } }
"""


def document(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    light = " ".join(f"--{name}: {colour};" for name, colour in LIGHT.items())
    dark = " ".join(f"--{name}: {colour};" for name, colour in DARK.items())
    style = _STYLE.replace("LIGHT", light).replace("DARK", dark)
    head = (
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        element("title", text(title)),
        element("style", style),
    )
    return "\n".join(("<!DOCTYPE html>", '<html lang="en">', *head, "<body>", *body, "</body>", "</html>", ""))


def text(content: str, *, lines: bool = False) -> str:
    """Text as HTML, its unprintable characters as escapes; `lines` keeps the ends of lines."""
    return escape("\n".join(map(clean, content.split("\n"))) if lines else clean(content))


def element(tag: str, *content: str, **attributes: str) -> str:
    """An element; content is HTML, attributes are not. `_class` is written `class`."""
    written = "".join(f' {name.lstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{written}>{''.join(content)}</{tag}>"


def sheet_table(sheet: Sheet) -> str:
    """A sheet as a table, its title as the caption."""
    rows = (
        element("tr", *(element("td", text(cell.text), **_class(cell.mark)) for cell in cells)) for cells in sheet.rows
    )
    return _table(sheet.title, sheet.headings, rows)


def legend(policies: Sequence[str]) -> str:
    """Each policy with its line, as the plots draw it."""
    return element(
        "ul", *(element("li", _key(place), text(name)) for place, name in enumerate(policies)), _class="legend"
    )


def heat_table(found: Sequence[Losses], place: int) -> str:
    """Lost seconds by one property of the calls: policies as rows, bins as columns, darker where more is lost."""
    bins = found[0].bins[place]
    rows = (
        element(
            "tr",
            element("td", text(one.policy)),
            *(_heat(lost, one.bins[place].lost_s) for lost in one.bins[place].lost_s),
        )
        for one in found
    )
    headings = (f"{label} ({calls:,} calls)" for label, calls in zip(bins.labels, bins.calls, strict=True))
    return _table(f"by {bins.name}", ("policy", *headings), rows)


def worst_table(losses: Losses, reference: str) -> str:
    """The calls that lost most, with what may explain it."""
    headings = (
        "call", "due, s", "turn", "prompt tokens", "pod", "computed tokens", "waited about, s", "TTFT, s",
        f"pod under {clean(reference)}", "computed there", "TTFT there, s", "lost by",
    )  # fmt: skip
    return _table(f"worst calls of {clean(losses.policy)}", headings, map(_worst_row, losses.worst))


def _table(caption: str, headings: Sequence[str], rows: Iterable[str]) -> str:
    head = element("tr", *(element("th", text(heading), scope="col") for heading in headings))
    table = element("table", element("caption", text(caption)), element("thead", head), element("tbody", *rows))
    return element("div", table, _class="wide")


def _class(mark: Mark) -> Mapping[str, str]:
    return {"_class": mark.value} if mark is not Mark.NONE else {}


def _key(place: int) -> str:
    colour, dash = line_style(place)
    variable = next(name for name, value in LIGHT.items() if value == colour)
    dashes = "" if dash == "solid" else " ".join(f"{2 * part:g}" for part in dash[1])
    line = (
        f'<line x1="0" y1="4" x2="34" y2="4" stroke="var(--{variable})" stroke-width="2" stroke-dasharray="{dashes}"/>'
    )
    return f'<svg class="key" viewBox="0 0 34 8" aria-hidden="true">{line}</svg>'


def _heat(lost: float, row: Sequence[float]) -> str:
    """Shaded by its part of what the row lost; a part that was won is left white."""
    all_lost = sum(value for value in row if value > 0)
    part = max(lost, 0) / all_lost if all_lost else 0.0
    share = f" ({part:.0%})" if part > 0 else ""
    return element("td", f"{lost:,.1f} s{share}", _class="heat", style=f"--part: {70 * part:.0f}%")


def _worst_row(call: WorstCall) -> str:
    cells = (
        f"{call.number} of seed {call.seed}",
        f"{call.due_s:,.1f}",
        str(call.turn),
        f"{call.prompt_tokens:,}",
        call.pod,
        f"{call.uncached_tokens:,}",
        number(call.wait_s),
        number(call.ttft_s),
        call.reference_pod,
        f"{call.reference_uncached_tokens:,}",
        number(call.reference_ttft_s),
        call.reason,
    )
    return element("tr", *(element("td", text(cell)) for cell in cells))

"""Tables of runs, for a terminal of 120 columns and as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from epp.reports.sheets import Cell, Mark, Sheet, case_sheet, counts_sheet, matrix_sheet
from epp.reports.summaries import Record, summaries

__all__ = ["LEGEND", "markdown", "matrix", "matrix_markdown", "tables"]

LEGEND = "* best; ~ not worse than the best beyond the 95 % interval; ± half of the 95 % interval over seeds"
"""What the marks in the tables mean."""

_HEADING_WIDTH, _NARROW_HEADING_WIDTH = 12, 8
"""Characters at which headings are broken: about as wide as the cells below, with and without intervals."""

_SIGNS = {Mark.BEST: "*", Mark.TIED: "~", Mark.NONE: " "}
_STYLES = {Mark.BEST: "bold green", Mark.TIED: "green", Mark.NONE: ""}

OVERVIEW = ("overview",)


def tables(records: Iterable[Record], groups: Sequence[str] = OVERVIEW, oracles: Collection[str] = ()) -> list[Table]:
    """Tables for a terminal: for each workload and condition one per group of figures (`GROUPS`), best policy first."""
    return [_rich(sheet) for sheet in _sheets(records, groups, oracles)]


def markdown(records: Iterable[Record], groups: Sequence[str] = OVERVIEW, oracles: Collection[str] = ()) -> str:
    """The same tables as Markdown: the best value bold, those tied with it in italics."""
    return "\n".join(f"{_text(sheet.title)}\n\n{_markdown(sheet)}" for sheet in _sheets(records, groups, oracles))


def matrix(records: Iterable[Record], measure: str, oracles: Collection[str] = ()) -> Table:
    """One figure of everything, for a terminal: workloads and conditions as rows, policies as columns."""
    return _rich(matrix_sheet(summaries(records), measure, oracles))


def matrix_markdown(records: Iterable[Record], measure: str, oracles: Collection[str] = ()) -> str:
    """The same as Markdown, without a title."""
    return _markdown(matrix_sheet(summaries(records), measure, oracles))


def _sheets(records: Iterable[Record], groups: Sequence[str], oracles: Collection[str]) -> Iterator[Sheet]:
    for policies in summaries(records).values():
        yield from (case_sheet(policies, group, oracles) for group in groups)
        if (counts := counts_sheet(policies)) and tuple(groups) != OVERVIEW:
            yield counts


def _rich(sheet: Sheet) -> Table:
    table = Table(title=Text(sheet.title), title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text(sheet.headings[0]), overflow="fold", min_width=8)
    width = _HEADING_WIDTH if len(sheet.headings) <= 9 else _NARROW_HEADING_WIDTH
    for heading in sheet.headings[1:]:
        broken = "\n".join(textwrap.wrap(heading, width))
        table.add_column(Text(broken), justify="right", overflow="fold")
    for name, *cells in sheet.rows:
        marked = any(cell.mark is Mark.BEST for cell in cells)
        table.add_row(Text(name.text, "bold" if marked else ""), *map(_rich_cell, cells))
    return table


def _rich_cell(cell: Cell) -> Text:
    return Text(f"{cell.text}{_SIGNS[cell.mark]}", _STYLES[cell.mark])


def _markdown(sheet: Sheet) -> str:
    head = [_line(map(_text, sheet.headings)), "|---|" + "--:|" * (len(sheet.headings) - 1)]
    rows = (_line((_text(name.text), *map(_markdown_cell, cells))) for name, *cells in sheet.rows)
    return "\n".join((*head, *rows, ""))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    around = {Mark.BEST: "**", Mark.TIED: "*", Mark.NONE: ""}[cell.mark]
    return f"{around}{_text(cell.text)}{around}"


def _text(text: str) -> str:
    """Text that others chose: nothing in it is markup."""
    return re.sub(r"([\\`*_<>|\[\]~&])", r"\\\1", text)

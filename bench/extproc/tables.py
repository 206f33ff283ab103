"""Tables of results: as text for the terminal, as Markdown between markers of a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["MissingMarkerError", "Table", "with_tables"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first column is text, the others are numbers."""

    name: str
    """Of its place on the page."""
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """For a terminal."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [_line(row, widths, "  ") for row in (self.header, *self.rows)]
        return "\n".join((self.title, lines[0], "-" * len(lines[0]), *lines[1:], ""))

    def markdown(self) -> str:
        """For a page."""
        rule = "|---" + "|---:" * (len(self.header) - 1) + "|"
        return "\n".join((_cells(self.header), rule, *map(_cells, self.rows)))


class MissingMarkerError(Exception):
    """The page has no place for a table; the message names it."""


def with_tables(page: str, tables: Iterable[Table]) -> str:
    """The page with tables in their places, between `<!-- table NAME -->` and `<!-- end -->`.

    Raises MissingMarkerError.
    """
    for table in tables:
        place = re.compile(rf"(<!-- table {re.escape(table.name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise MissingMarkerError(f"there is no `<!-- table {table.name} -->` with an `<!-- end -->` after it")
        text = table.markdown()
        page = place.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def _line(row: Sequence[str], widths: Sequence[int], between: str) -> str:
    first, *others = zip(row, widths, strict=True)
    return between.join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)))


def _cells(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"

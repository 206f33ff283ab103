"""Reads the documents: fenced blocks, tables, links, headings, and names in backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PAGES", "ROOT", "WRITTEN", "Block", "blocks", "cells", "console_blocks", "names", "prose", "text_of"]

ROOT = Path(__file__).parents[2]

PAGES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))))

GENERATED = ("docs/configuration.md", "docs/metrics.md")
"""Made from the code; `tests/config` and `tests/telemetry` keep them up to date."""

WRITTEN = tuple(page for page in PAGES if page not in GENERATED)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: str
    language: str
    text: str

    @property
    def file_name(self) -> str:
        """The file that it is, where its first line says so in a comment."""
        found = re.match(r"# (\S+\.\w+)\n", self.text)
        return found[1] if found else ""


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


@cache
def blocks(language: str = "") -> tuple[Block, ...]:
    """Fenced blocks of all written pages, those of one language where it is given."""
    found = (
        Block(page, *match)
        for page in WRITTEN
        for match in re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    )
    return tuple(block for block in found if not language or block.language == language)


def console_blocks() -> Iterator[tuple[Block, str, str]]:
    """Each command of a console block, with the output that is shown after it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield block, command, output


@cache
def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def names(page: str) -> Iterator[str]:
    """What stands in backticks."""
    yield from re.findall(r"`([^`\n]+)`", prose(page))


def cells(page: str, heading: str) -> list[list[str]]:
    """Rows of the tables below a heading and before the next one, titles left out."""
    _, found, below = text_of(page).partition(f"## {heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    section = re.split(r"^##", below, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    rules = [index for index, row in enumerate(rows) if set("".join(row)) == {"-"}]
    return [row for index, row in enumerate(rows) if index not in rules and index + 1 not in rules]

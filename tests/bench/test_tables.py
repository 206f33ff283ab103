"""Tables as text and as Markdown in a page."""

from __future__ import annotations

import pytest

from bench.extproc.tables import MissingMarkerError, Table, with_tables

TABLE = Table("cost", "What it costs", ("", "us"), (("a pick", "7"), ("b", r"1,000 \1")))

PAGE = """# Page
<!-- table cost -->
| old |
<!-- end -->
between
<!-- table other -->
<!-- end -->
"""


def test_text_is_aligned() -> None:
    assert TABLE.text() == "What it costs\n              us\n----------------\na pick         7\nb       1,000 \\1\n"


def test_a_table_replaces_what_stands_in_its_place() -> None:
    page = with_tables(PAGE, [TABLE])
    assert (
        page
        == r"""# Page
<!-- table cost -->
|  | us |
|---|---:|
| a pick | 7 |
| b | 1,000 \1 |
<!-- end -->
between
<!-- table other -->
<!-- end -->
"""
    )
    assert with_tables(page, [TABLE]) == page


def test_a_page_without_the_place_is_an_error() -> None:
    with pytest.raises(MissingMarkerError, match="<!-- table cost -->"):
        with_tables("# Page", [TABLE])

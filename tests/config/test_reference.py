from __future__ import annotations

import re
from pathlib import Path

import pytest

from epp.config import check_text
from epp.config.flag_table import FLAGS
from epp.config.reference import reference_text
from epp.config.sections import EppSection
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
TEXT = reference_text()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == TEXT, "run: python -m epp.config.reference > docs/configuration.md"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_can_be_used(example: str) -> None:
    assert check_text(example.encode(), "example").errors == ()


def test_everything_that_can_be_written_is_on_the_page() -> None:
    for name in EppSection.model_fields:
        assert f"### `{name}`" in TEXT
    for name in FLAGS:
        assert f"`--{name}`" in TEXT
    for name in (*BUILT_IN, *BUILT_IN_ROLES, *ABSENT):
        assert f"`{name}`" in TEXT


def test_rows_have_as_many_cells_as_their_table() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table

from pathlib import Path

from epp.telemetry.catalogue import FAMILIES
from epp.telemetry.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run: python -m epp.telemetry.reference > docs/metrics.md"


def test_every_metric_has_a_row_with_its_unit_and_meaning() -> None:
    rows = {line.split("`")[1]: line for line in reference().splitlines() if line.startswith("| `")}
    assert set(rows) == {family.name for family in FAMILIES}
    for family in FAMILIES:
        assert family.unit
        assert family.meaning in rows[family.name]
        assert rows[family.name].count("|") == 6

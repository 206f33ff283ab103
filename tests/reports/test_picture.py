"""The one picture."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from epp.reports import draw_picture
from tests.reports.made import seeds_of


def test_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    draw_picture(seeds_of(("ours", "$other$"), 2, calls=50), path)
    assert ET.parse(path).getroot().tag.endswith("svg")


def test_shows_one_workload(tmp_path: Path) -> None:
    runs = [*seeds_of(("ours",), 1, calls=10), *seeds_of(("ours",), 1, calls=10, workload="agent")]
    with pytest.raises(ValueError, match="not 2"):
        draw_picture(runs, tmp_path / "picture.svg")
    with pytest.raises(ValueError, match="not 0"):
        draw_picture([], tmp_path / "picture.svg")

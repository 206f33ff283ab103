"""Figures as SVG for pages, and as files."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epp.reports.drawing import DARK, DASHES, LIGHT, SERIES, DrawingError, inline_svg, line_style, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOSTILE = '<script>"$x_{&}$ #0072b2 1.23456 id="a"'


def draw(figure: "Figure") -> None:
    axis = figure.subplots()
    axis.plot([1, 2, 3], [1, 4, 2], color=SERIES[0], marker="o")
    axis.set_title(HOSTILE)


SVG = inline_svg("one", HOSTILE, 3, 2, draw)


def attributes(svg: str, *names: str) -> list[str]:
    """Values of attributes that the drawing has, all but the label if none is named."""
    pairs = [pair for element in ET.fromstring(svg).iter() for pair in element.attrib.items()]
    return [value for name, value in pairs if name in names or (not names and name != "aria-label")]


def test_is_one_well_formed_element_whose_text_is_what_was_given() -> None:
    root = ET.fromstring(SVG)
    assert root.attrib["aria-label"] == HOSTILE
    assert HOSTILE in {text.text for text in root.iter("text")}


def test_points_only_into_itself() -> None:
    ids = attributes(SVG, "id")
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    pointed = [target for value in attributes(SVG) for target in re.findall(r"^#(.*)|url\(#(.*)\)", value)]
    assert {"".join(target) for target in pointed} == set(ids)
    assert "http" not in SVG


def test_colours_are_the_pages() -> None:
    drawn = " ".join(attributes(SVG))
    assert "var(--c0)" in drawn
    assert not re.findall(r"#[0-9a-f]{6}\b", drawn)


def test_the_same_drawing_gives_the_same_text() -> None:
    assert inline_svg("one", HOSTILE, 3, 2, draw) == SVG


def test_two_figures_of_a_page_share_no_id() -> None:
    assert not set(attributes(SVG, "id")) & set(attributes(inline_svg("two", "t", 3, 2, draw), "id"))


def test_24_lines_differ() -> None:
    assert len({(colour, str(dash)) for colour, dash in map(line_style, range(24))}) == 24
    assert len(SERIES) * len(DASHES) == 24


def test_light_and_dark_set_the_same_variables() -> None:
    assert LIGHT.keys() == DARK.keys()


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("colours", "paper"), [(LIGHT, "#ffffff"), (DARK, "#14181d")])
def test_lines_and_letters_can_be_seen(colours: dict[str, str], paper: str) -> None:
    for name, colour in colours.items():
        bright, dim = sorted((luminance(colour), luminance(paper)), reverse=True)
        least = {"grid": 1.2, "ink": 7.0, "muted": 4.5}.get(name, 2.9)  # WCAG asks 3 of graphics, 4.5 of text
        assert (bright + 0.05) / (dim + 0.05) >= least, name


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_written_and_the_same_each_time(suffix: str, begin: bytes, tmp_path: Path) -> None:
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    save_picture(first, 3, 2, draw)
    save_picture(second, 3, 2, draw)
    assert first.read_bytes().startswith(begin)
    assert first.read_bytes() == second.read_bytes()


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawingError, match=r"\.png, \.svg or \.pdf"):
        save_picture(tmp_path / "a.gif", 3, 2, draw)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DrawingError, match=r"pip install 'endpoint-picker\[report\]'"):
        inline_svg("one", "t", 3, 2, draw)


def test_matplotlib_is_loaded_only_when_something_is_drawn() -> None:
    program = "import sys, epp.reports; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

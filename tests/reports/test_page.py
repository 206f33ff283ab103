"""The page: whole, well-formed, and alone."""

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from epp.reports import DrawingError, Run, Slo, record_of, write_page
from epp.reports import page as module
from epp.reports.page import page
from tests.reports.made import calls_of, plausible_run, run_of, seeds_of

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m"
POLICIES = ("ours", "round-robin", HOSTILE)
RUNS = [*seeds_of(POLICIES, 2, calls=60), *seeds_of(("ours", HOSTILE), 1, calls=60, workload=HOSTILE, condition="slow")]
PAGE = page(RUNS, HOSTILE, f"line 1\n{HOSTILE}", slo=Slo(2.0, 0.05), oracles={"round-robin"})

VOID = {"meta", "br", "img", "link", "input", "hr", "base"}


class Reader(HTMLParser):
    """Elements, attributes and text; fails where tags do not close in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.headings: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
        if self.open and self.open[-1] == "h3":
            self.headings.append(data)


READ = Reader(PAGE)


def test_is_well_formed() -> None:
    assert READ.open == []
    assert PAGE.startswith("<!DOCTYPE html>\n")


def test_needs_nothing_beside_itself() -> None:
    assert not {"script", "link", "img", "iframe", "object", "embed", "image", "form", "base"} & READ.tags.keys()
    targets = [value for name, value in READ.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(target.startswith("#") for target in targets)
    assert not [name for name, _ in READ.attributes if name.startswith("on")]
    style = re.findall(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    assert len(style) == 1
    assert not re.search(r"url\(|@import", style[0])


def test_links_lead_somewhere_and_ids_are_single() -> None:
    ids = Counter(value for name, value in READ.attributes if name == "id")
    assert set(ids.values()) == {1}
    assert {value[1:] for name, value in READ.attributes if name == "href"} <= ids.keys()


def test_names_of_others_are_text() -> None:
    visible = HOSTILE.replace("\x1b", "\\x1b")
    assert READ.text.count(visible) > 10
    assert "\x1b" not in PAGE


def test_each_section_is_there_for_each_case() -> None:
    assert Counter(READ.headings) == {
        "How long calls took": 2,
        "Cache hits against the ceiling": 2,
        "Where each policy loses": 2,
        "What the pods did": 2,
        "What the picker expected, and what came": 2,
    }
    assert READ.tags["h2"] == 2
    assert len([1 for item in READ.attributes if item == ("class", "plot")]) == 2 * 5


def test_says_what_it_found() -> None:
    assert "ours has the lowest mean time to the first token" in READ.text
    assert "round-robin, which knows what no picker can know" in READ.text
    assert "SLO: ttft=2s,tpot=50ms" in READ.text
    assert "under ours, which has the lowest mean here" in READ.text
    assert "worst calls of round-robin" in READ.text


def test_works_in_the_dark() -> None:
    assert "prefers-color-scheme: dark" in PAGE


def test_the_same_runs_give_the_same_page() -> None:
    assert page(RUNS, HOSTILE, f"line 1\n{HOSTILE}", slo=Slo(2.0, 0.05), oracles={"round-robin"}) == PAGE


SPARSE: dict[str, list[Run]] = {
    "nothing": [],
    "no calls": [run_of(calls_of(0))],
    "one policy": [plausible_run("ours", 1, calls=20)],
    "no timeline, hits, predictions": [run_of(calls_of(5)), run_of(calls_of(5, ttft_s=1.5), policy="other")],
}


@pytest.mark.parametrize("case", SPARSE)
def test_what_is_missing_is_left_out(case: str) -> None:
    read = Reader(page(SPARSE[case], "sparse"))
    assert read.open == []
    assert "nan" not in read.text


def test_records_without_runs_get_tables_and_no_plots() -> None:
    read = Reader(page([], "t", records=[record_of(run, Slo()) for run in RUNS]))
    assert read.tags["h2"] == 2
    assert "plot" not in [value for name, value in read.attributes if name == "class"]


def test_plots_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DETAILED", 1)
    runs = [run_of(calls_of(3), workload=workload) for workload in ("chat", "agent")]
    read = Reader(page(runs, "t"))
    assert [value for _, value in read.attributes].count("plot") == 2
    assert "Plots are drawn for the first 1 workloads" in read.text


def test_size_does_not_grow_with_the_calls() -> None:
    few, many = (len(page([plausible_run("ours", 1, calls=calls)], "t")) for calls in (500, 20_000))
    assert many < 1.1 * few


def test_is_written_to_a_file(tmp_path: Path) -> None:
    path, records = tmp_path / "page.html", [record_of(run, Slo()) for run in RUNS]
    write_page([], path, "t", slo=Slo(2.0), records=records)
    assert path.read_text("utf-8") == page([], "t", slo=Slo(2.0), records=records)


def test_without_matplotlib_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DrawingError):
        write_page(RUNS[:1], tmp_path / "page.html", "t")
    assert list(tmp_path.iterdir()) == []

"""The study from its plan to its pages, with few calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.extproc.tables import with_tables
from bench.study.__main__ import PAGE, STUDY
from bench.study.criteria import DEFAULT, LONGEST_PREFIX, SHARED_FIRST_BLOCK
from bench.study.matrix import Pace, missing, run_matrix
from bench.study.pages import NAMES, places, tables, write_pages
from bench.study.plan import QUICK, Run, run_of
from bench.study.results import Lines, Results, read_results, this_setting, write_results
from epp.reports import Case, Figures, Record


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """The quick study, as lines of a file."""
    lines = Lines(tmp_path_factory.mktemp("study") / "lines.jsonl")
    run_matrix(QUICK, QUICK.jobs(), lines, 1, lambda: 0.0, lambda pace: None)
    return lines


@pytest.fixture(scope="module")
def runs(lines: Lines) -> Mapping[Run, Record]:
    return lines.read()


@pytest.fixture(scope="module")
def results(lines: Lines, runs: Mapping[Run, Record]) -> Results:
    return Results(this_setting(QUICK.name, "ttft=2s", lines.commits()), list(runs.values()))


def of(runs: Mapping[Run, Record], condition: str, policy: str) -> list[Figures]:
    case = Case(SHARED_FIRST_BLOCK, condition)
    return [record.figures for run, record in runs.items() if (run.case, run.policy) == (case, policy)]


def test_every_run_of_the_plan_is_made_once(runs: Mapping[Run, Record]) -> None:
    assert set(runs) == {run_of(job) for job in QUICK.jobs()}
    assert len(runs) == 2 * 2 * 4 * 2
    assert len({run.policy for run in runs}) == 4


@pytest.mark.parametrize("condition", ["homogeneous", "lean mode"])
def test_the_longest_prefix_alone_fails_where_all_prompts_begin_alike_and_the_default_does_not(
    runs: Mapping[Run, Record], condition: str
) -> None:
    for ours, theirs in zip(of(runs, condition, DEFAULT), of(runs, condition, LONGEST_PREFIX), strict=True):
        assert theirs.imbalance_tokens > 7.9  # one of eight pods does everything
        assert ours.imbalance_tokens < 2.0
        assert theirs.ttft_mean_s > 5 * ours.ttft_mean_s
        assert theirs.slo_share < 0.1 < 0.9 < ours.slo_share
        assert theirs.hit_share > ours.hit_share  # that is not what it fails by


def test_what_is_known_is_not_run_again(runs: Mapping[Run, Record]) -> None:
    some = list(runs)[:-3]
    assert {run_of(job) for job in missing(QUICK, some)} == set(list(runs)[-3:])
    assert missing(QUICK, runs) == []


def test_one_seed_gives_one_run(lines: Lines, runs: Mapping[Run, Record], tmp_path: Path) -> None:
    job = QUICK.jobs()[0]
    again = Lines(tmp_path / "again.jsonl")
    run_matrix(QUICK, [job], again, 1, lambda: 0.0, lambda pace: None)
    assert repr(again.read()[run_of(job)]) == repr(runs[run_of(job)])


def test_a_study_that_was_cut_off_in_the_middle_of_a_line_goes_on(lines: Lines, tmp_path: Path) -> None:
    cut = Lines(tmp_path / "cut.jsonl")
    cut.path.write_text(lines.path.read_text()[:-20])
    known = cut.read()
    assert len(known) == 31
    cut.forget(())
    (job,) = missing(QUICK, known)
    run_matrix(QUICK, [job], cut, 1, lambda: 0.0, lambda pace: None)
    assert repr(cut.read()) == repr(lines.read())


def test_runs_that_are_to_be_made_again_are_forgotten(lines: Lines, tmp_path: Path) -> None:
    copy = Lines(tmp_path / "copy.jsonl")
    copy.path.write_text(lines.path.read_text())
    again = [run_of(job) for job in QUICK.only(policies=[DEFAULT]).jobs()]
    copy.forget(again)
    assert lines.read().keys() - copy.read().keys() == set(again)


def test_results_are_read_as_they_were_written_to_four_digits(results: Results, tmp_path: Path) -> None:
    path, other = tmp_path / "study.json", tmp_path / "other.json"
    write_results(path, results)
    read = read_results(path)
    write_results(other, read)
    assert other.read_bytes() == path.read_bytes()
    assert read.setting == results.setting
    one, same = results.records[0], next(r for r in read.records if Run(r.case, r.policy, r.seed) == first(results))
    assert same.figures.ttft_p90_s == pytest.approx(one.figures.ttft_p90_s, rel=1e-3)


def first(results: Results) -> Run:
    record = results.records[0]
    return Run(record.case, record.policy, record.seed)


def test_pages_are_complete_and_the_same_each_time(results: Results, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(places())
    assert [table.name for table in tables(results)] == list(NAMES)
    write_pages(results, page, tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {"page.md", "study-ratios.svg", "study-longest-prefix.svg"}
    write_pages(results, page, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made


def test_the_page_shows_what_the_results_say() -> None:
    """Where there are no results yet, every place is empty."""
    page = PAGE.read_text()
    if STUDY.exists():
        assert with_tables(page, tables(read_results(STUDY))) == page
    else:
        assert set(re.findall(r"<!-- table (\S+) -->\n<!-- end -->", page)) >= set(NAMES)


def test_time_left_follows_from_what_is_done() -> None:
    pace = Pace(began_at=100.0, runs_left=4, work_left=10.0)
    assert pace.text(100.0) == "0 of 4 runs, 0.0 min, time left not known yet"
    pace.over(2.0)
    assert pace.left_s(160.0) == pytest.approx(240.0)
    assert pace.text(160.0) == "1 of 4 runs, 1.0 min, 4 min left"

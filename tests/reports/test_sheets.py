"""What stands in the cells of tables."""

import math

import numpy as np
import pytest

from epp.reports import GROUPS, MEASURES, Failure, Record, Slo, record_of, summaries
from epp.reports.sheets import Mark, case_sheet, clean, counts_sheet, matrix_sheet, number
from tests.reports.made import calls_of, run_of

NUMBERS = {
    0.0: "0", 0.0004: "0.000", 0.0123: "0.012", 0.9994: "0.999", 0.9996: "1.00", 1.234: "1.23", 9.996: "10.0",
    12.34: "12.3", 99.94: "99.9", 99.96: "100", 1234.5: "1,234", math.nan: "", -1.5: "-1.50",
}  # fmt: skip


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_have_three_digits(value: float) -> None:
    assert number(value) == NUMBERS[value]


def test_names_of_others_are_shown_on_one_line() -> None:
    assert clean("a\nb\x1b[31m\u202ec é") == "a\\nb\\x1b[31m\\u202ec é"


def record(policy: str, *ttft: float, workload: str = "chat") -> list[Record]:
    runs = (
        run_of(calls_of(2, ttft_s=value, e2e_s=9.0), policy=policy, seed=seed, workload=workload)
        for seed, value in enumerate(ttft)
    )
    return [record_of(run, Slo(2.0)) for run in runs]


RECORDS = [
    *record("fast", 1.0, 1.1, 1.2),
    *record("near", 1.1, 1.0, 1.3),
    *record("slow", 2.0, 2.1, 2.3),
    *record("oracle", 0.5, 0.5, 0.5),
]
(POLICIES,) = summaries(RECORDS).values()


def column(heading: str) -> list[tuple[str, str, Mark]]:
    sheet = case_sheet(POLICIES, "latency", {"oracle"})
    place = sheet.headings.index(heading)
    return [(row[0].text, row[place].text, row[place].mark) for row in sheet.rows]


def test_best_and_those_tied_with_it_are_marked_and_oracles_never() -> None:
    assert column("TTFT mean, s") == [
        ("oracle", "0.500±0", Mark.NONE),
        ("fast", "1.10±.25", Mark.BEST),
        ("near", "1.13±.38", Mark.TIED),
        ("slow", "2.13±.38", Mark.NONE),
    ]


def test_what_is_equal_is_best_everywhere() -> None:
    assert {mark for name, _, mark in column("end-to-end mean, s") if name != "oracle"} == {Mark.BEST}


def test_titles_say_what_of_and_how_many_seeds() -> None:
    assert case_sheet(POLICIES, "latency").title == "chat: latency (3 seeds)"
    (single,) = summaries(record("fast", 1.0)).values()
    assert case_sheet(single, "latency").title == "chat: latency (1 seed)"


def test_one_seed_shows_no_interval() -> None:
    (single,) = summaries(record("fast", 1.25)).values()
    assert case_sheet(single, "latency").rows[0][1].text == "1.25"


def test_a_column_under_a_second_is_in_milliseconds() -> None:
    (single,) = summaries(record("fast", 0.0625)).values()
    sheet = case_sheet(single, "latency")
    assert (sheet.headings[1], sheet.rows[0][1].text) == ("TTFT mean, ms", "62.5")


def test_what_is_not_known_is_empty() -> None:
    (single,) = summaries(record("dead", np.nan)).values()
    assert case_sheet(single, "latency").rows[0][1].text == ""


@pytest.mark.parametrize("group", GROUPS)
def test_groups_hold_measures_and_fit(group: str) -> None:
    assert set(GROUPS[group]) <= MEASURES.keys()
    assert len(GROUPS[group]) <= 8


def test_every_measure_but_some_inner_quantiles_stands_in_a_group() -> None:
    shown = {name for names in GROUPS.values() for name in names}
    assert MEASURES.keys() - shown == {"tpot_p95_s"}


def test_matrix_has_a_row_per_case_and_a_column_per_policy() -> None:
    sheet = matrix_sheet(summaries([*RECORDS, *record("slow", 3.0, workload="agent")]), "ttft_mean_s", {"oracle"})
    assert sheet.headings == ("workload", "oracle", "fast", "near", "slow")
    chat, agent = ([(cell.text, cell.mark) for cell in row] for row in sheet.rows)
    assert chat[2:4] == [("1.10", Mark.BEST), ("1.13", Mark.TIED)]
    assert agent[1:] == [("", Mark.NONE)] * 3 + [("3.00", Mark.BEST)]


def test_counts_are_means_per_run_of_failures_and_counters() -> None:
    runs = (
        run_of(calls_of(2, failure=[Failure.NONE, kind]), seed=seed, counters={"preemptions": float(seed)})
        for seed, kind in enumerate((Failure.BUSY, Failure.BUSY, Failure.LOST, Failure.NONE))
    )
    (policies,) = summaries(record_of(run, Slo()) for run in runs).values()
    sheet = counts_sheet(policies)
    assert sheet is not None
    assert sheet.headings == ("policy", "failed: busy", "failed: lost", "preemptions")
    assert [cell.text for cell in sheet.rows[0]] == ["ours", "0.500", "0.250", "1.50"]


def test_nothing_counted_makes_no_table() -> None:
    assert counts_sheet(POLICIES) is None

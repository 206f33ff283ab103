"""Tables as they are printed."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from epp.reports import GROUPS, Slo, markdown, matrix, matrix_markdown, record_of, tables
from tests.reports.made import calls_of, run_of, seeds_of

NAMES = [
    "least-work-cost", "go-default", "go-sticky", "dynamo", "lmetric", "ramjet", "two-tier", "bounded-hashing",
    "least-uncached", "round-robin", "least-requests", "random", "oracle-marginal",
]  # fmt: skip
RECORDS = [record_of(run, Slo.parse("ttft=2s,tpot=50ms")) for run in seeds_of(NAMES, 3)]


def printed(table: Table) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None, legacy_windows=False).print(table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("group", GROUPS)
def test_a_row_is_a_line_in_120_columns(group: str) -> None:
    (table, *_) = tables(RECORDS, (group,))
    rows = [line for line in printed(table) if line.startswith(tuple(NAMES))]
    assert len(rows) == len(NAMES)
    assert all(len(row.split()) == len(GROUPS[group]) + 1 for row in rows)


def test_marks_can_be_seen_without_colour() -> None:
    (table,) = tables(RECORDS)
    best = next(line for line in printed(table) if line.startswith("least-work-cost"))
    assert best.split()[1].endswith("*")


def test_all_groups_end_with_what_was_counted() -> None:
    found = tables(RECORDS, tuple(GROUPS))
    assert len(found) == len(GROUPS) + 1
    assert any("preemptions" in line for line in printed(found[-1]))


def test_a_matrix_of_13_policies_fits() -> None:
    lines = printed(matrix(RECORDS, "ttft_mean_s", {"oracle-marginal"}))
    (row,) = [line for line in lines if line.startswith("chat")]
    assert len(row.split()) == 14


def test_markdown_marks_the_best() -> None:
    lines = markdown(RECORDS, oracles={"oracle-marginal"}).splitlines()
    assert lines[0] == "chat: overview (3 seeds)"
    assert lines[3] == "|---|" + "--:|" * 8
    assert lines[4].startswith("| least-work-cost | **")
    assert {line.count("|") for line in lines[2:]} == {10}


def test_markdown_of_a_matrix() -> None:
    head, _, row = matrix_markdown(RECORDS, "slo_share").splitlines()
    assert head.startswith("| workload | least-work-cost |")
    assert "**" in row


def test_names_of_others_are_not_markup() -> None:
    hostile = "[bold]a|b*c`<i>\n"
    records = [record_of(run_of(calls_of(2), policy=hostile, workload=hostile), Slo())]
    (table,) = tables(records)
    assert any("[bold]a|b*" in line for line in printed(table))
    text = markdown(records)
    assert r"\[bold\]a\|b\*c\`\<i\>\\n" in text
    assert text.splitlines()[4].replace("\\|", "").count("|") == 10

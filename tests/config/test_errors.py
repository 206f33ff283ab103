from __future__ import annotations

import pytest

from epp.config.errors import MAX_SHOWN, ConfigError, Findings, Place, Problem, listed, meant


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(Place("f", 3, 5), "a.b", "is wrong"), "f:3:5: a.b: is wrong"),
        (Problem(Place("f", 3, 5), "", "is wrong"), "f:3:5: is wrong"),
        (Problem(Place("--flag"), "epp.x", "is wrong"), "--flag: epp.x: is wrong"),
    ],
)
def test_a_problem_is_one_line(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_problems_come_by_place() -> None:
    places = [Place("f", 10, 1), Place("f", 2, 9), Place("f", 2, 10), Place("--flag")]
    error = ConfigError(Problem(place, "", "x") for place in places)
    assert str(error) == "--flag: x\nf:2:9: x\nf:2:10: x\nf:10:1: x"


def test_the_text_of_many_problems_is_cut() -> None:
    error = ConfigError(Problem(Place("f", line, 1), "", "x") for line in range(1, MAX_SHOWN + 4))
    assert len(error.problems) == MAX_SHOWN + 3
    assert str(error).endswith("\nand 3 more problems")
    assert len(str(error).splitlines()) == MAX_SHOWN + 1


def test_errors_are_raised_together_or_not_at_all() -> None:
    findings = Findings()
    findings.raise_errors()
    findings.errors += [Problem(Place("f", 2, 1), "", "b"), Problem(Place("f", 1, 1), "", "a")]
    with pytest.raises(ConfigError) as error:
        findings.raise_errors()
    assert [problem.message for problem in error.value.problems] == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "known", "text"),
    [
        ("intervall", ["interval", "timeout"], "; did you mean 'interval'?"),
        ("x", ["interval", "timeout"], "; known are interval, timeout"),
        ("x", [], ""),
        ("x" * 10_000, ["interval"], "; known are interval"),
    ],
)
def test_what_was_meant(word: str, known: list[str], text: str) -> None:
    assert meant(word, known) == text


def test_a_long_list_is_cut() -> None:
    assert listed(map(str, range(30)), most=3) == "0, 1, 2 and 27 more"

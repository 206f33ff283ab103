"""From results to the tables of docs/policy.md, and the pictures beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.extproc.tables import Table, with_tables
from bench.study.criteria import DEFAULT, GO_PROFILES, MARGINAL, ORACLES, SIMPLE, Finding, findings, mean_ratio
from bench.study.plan import tuned
from bench.study.plots import draw_longest_prefix, draw_ratios
from bench.study.results import Results
from epp.reports import MEASURES, Case, Summary, best_of, summaries

__all__ = ["NAMES", "places", "tables", "write_pages"]

Cases = Mapping[Case, Sequence[Summary]]

_GROUPS: Mapping[str, Callable[[str], bool]] = {"tuned": tuned, "held-out": lambda name: not tuned(name)}
"""Of workloads, by the end of their tables' names."""

_MATRICES = {"ttft-p90": "ttft_p90_s", "e2e": "e2e_mean_s", "slo": "slo_share"}

_NO_ADAPTERS = "without-lora"
"""Only the default weighs adapters, so one workload of them moves all means."""

_BEST_SIMPLE = "best simple"

NAMES = (
    "study-setting",
    "study-criteria",
    "study-missed",
    *(f"study-means-{group}" for group in ("all", _NO_ADAPTERS, *_GROUPS)),
    *(f"study-{matrix}-{group}" for matrix in _MATRICES for group in _GROUPS),
)
"""Of all tables."""


def tables(results: Results) -> list[Table]:
    """All of them, in the order of `NAMES`."""
    cases = summaries(results.records)
    found = findings(results.records)
    plain = _of(cases, lambda name: name != "lora")
    groups = {"all": cases, _NO_ADAPTERS: plain, **{group: _of(cases, belongs) for group, belongs in _GROUPS.items()}}
    return [
        _setting(results, cases),
        _criteria(found),
        _missed(found),
        *(_means(name, group) for name, group in groups.items()),
        *(_matrix(matrix, name, groups[name]) for matrix in _MATRICES for name in _GROUPS),
    ]


def places() -> str:
    """An empty page with a place for each table."""
    return "".join(f"<!-- table {name} -->\n<!-- end -->\n\n" for name in NAMES)


def write_pages(results: Results, page: Path, pictures: Path) -> None:
    """Puts tables into their places on a page, and pictures into a folder. Raises OSError and MissingMarkerError."""
    page.write_text(with_tables(page.read_text(), tables(results)))
    draw_ratios(results, pictures / "study-ratios.svg")
    draw_longest_prefix(results, pictures / "study-longest-prefix.svg")


def _of(cases: Cases, belongs: Callable[[str], bool]) -> Cases:
    return {case: policies for case, policies in cases.items() if belongs(case.workload)}


def _setting(results: Results, cases: Cases) -> Table:
    setting = results.setting
    policies = {record.policy for record in results.records}
    size = f"{len(results.records):,} runs: {len(cases)} cases, {len(policies)} policies"
    rows = (
        ("extent", f"{setting.plan}, {size}"),
        ("when", setting.at),
        ("code", ", ".join(setting.commits)),
        ("machine", f"{setting.cores} cores of {setting.cpu}, Python {setting.python}"),
        ("objective", setting.slo),
    )
    return Table("study-setting", "The study", ("", "this study"), rows)


def _criteria(found: Sequence[Finding]) -> Table:
    rows = []
    for criterion in dict.fromkeys(one.criterion for one in found):
        of_it = [one for one in found if one.criterion == criterion]
        rows.append((criterion, str(sum(one.reached for one in of_it)), str(len(of_it))))
    return Table("study-criteria", "Criteria", ("criterion", "reached", "of"), tuple(rows))


def _missed(found: Iterable[Finding]) -> Table:
    rows = tuple((one.criterion, one.case, one.text) for one in found if not one.reached) or (("none", "", ""),)
    header = ("criterion not reached", "case", "figures, means over seeds")
    return Table("study-missed", "Where the default does not reach a criterion", header, rows)


def _means(name: str, cases: Cases) -> Table:
    """Latencies as geometric means of ratios; shares, which can be 0, as plain means."""
    measures = ("ttft_mean_s", "ttft_p90_s", "e2e_mean_s")
    rows = []
    for policy in _by_rank(cases):
        ratios = (_ratio(mean_ratio(cases, policy, DEFAULT, measure)) for measure in measures)
        of_policy = [one for policies in cases.values() for one in policies if one.policy == policy]
        shares = (_share(_mean(of_policy, measure)) for measure in ("slo_share", "hit_share"))
        rows.append((policy, *ratios, *shares, str(len(of_policy))))
    header = ("policy", "TTFT mean", "TTFT p90", "end-to-end mean", "SLO kept", "hits", "cases")
    return Table(f"study-means-{name}", f"Against the default, {name} workloads", header, tuple(rows))


def _by_rank(cases: Cases) -> list[str]:
    """Policies by their p90 TTFT against the default's, best first."""
    names = {summary.policy for policies in cases.values() for summary in policies}

    def rank(name: str) -> tuple[float, str]:
        ratio = mean_ratio(cases, name, DEFAULT, "ttft_p90_s")
        return (math.inf if math.isnan(ratio) else ratio), name

    return sorted(names, key=rank)


def _mean(of_policy: Sequence[Summary], measure: str) -> float:
    return sum(one.estimate(measure).mean for one in of_policy) / len(of_policy)


def _matrix(matrix: str, group: str, cases: Cases) -> Table:
    measure = _MATRICES[matrix]
    columns = _columns(cases)
    rows = tuple((str(case), *_cells(policies, columns, measure)) for case, policies in cases.items())
    title = f"{MEASURES[measure].heading}, {group} workloads"
    return Table(f"study-{matrix}-{group}", title, ("", *columns), rows)


def _columns(cases: Cases) -> list[str]:
    """The default, the best of those that know nothing of LLMs, the Go picker's, the others, and an oracle."""
    there = {summary.policy for policies in cases.values() for summary in policies}
    others = sorted(there - {DEFAULT, *SIMPLE, *GO_PROFILES, *ORACLES})
    return [
        DEFAULT,
        _BEST_SIMPLE,
        *(name for name in GO_PROFILES if name in there),
        *others,
        *(name for name in (MARGINAL,) if name in there),
    ]


def _cells(policies: Sequence[Summary], columns: Sequence[str], measure: str) -> list[str]:
    by_name = {summary.policy: summary for summary in policies}
    simple = best_of([by_name[name] for name in SIMPLE if name in by_name], measure)
    shown = {**by_name, **({_BEST_SIMPLE: simple} if simple else {})}
    best = best_of([one for name, one in by_name.items() if name not in ORACLES], measure)
    return [_cell(shown.get(column), best, measure) for column in columns]


def _cell(summary: Summary | None, best: Summary | None, measure: str) -> str:
    if summary is None:
        return ""
    found = summary.estimate(measure)
    show = _share if measure == "slo_share" else _seconds
    text = show(found.mean)
    if summary.policy == DEFAULT and math.isfinite(found.half_width):
        text += f" ±{show(found.half_width)}"
    return f"**{text}**" if summary is best else text


def _seconds(value: float) -> str:
    """With three digits or so."""
    if math.isnan(value):
        return "-"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"

"""What stands in a table, before it is drawn on a terminal, in Markdown or on a page: headings, cells, and marks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from epp.reports.figures import MEASURES
from epp.reports.measures import Measure, Unit
from epp.reports.statistics import Estimate, Verdict
from epp.reports.summaries import Case, Summary, best_of

__all__ = ["GROUPS", "Cell", "Mark", "Sheet", "case_sheet", "clean", "counts_sheet", "matrix_sheet", "number"]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "overview": (
        "ttft_mean_s", "ttft_p90_s", "ttft_p99_s", "tpot_mean_s", "e2e_mean_s", "hit_of_ceiling", "slo_share",
        "cost_per_1000",
    ),
    "latency": (
        "ttft_mean_s", "ttft_p50_s", "ttft_p90_s", "ttft_p99_s", "e2e_mean_s", "e2e_p50_s", "e2e_p90_s", "e2e_p99_s",
    ),
    "streaming and caches": (
        "tpot_mean_s", "tpot_p50_s", "tpot_p90_s", "tpot_p99_s", "hit_tokens", "hit_share", "hit_of_ceiling",
        "output_tokens_per_s",
    ),
    "service and cost": (
        "slo_share", "goodput_per_s", "failed_share", "cost_per_1000", "ttft_p95_s", "e2e_p95_s", "gpu_utilisation",
        "imbalance_tokens",
    ),
    "balance and predictions": (
        "imbalance_tokens", "imbalance_busy", "prompt_tokens_per_s", "predicted_hits_ratio", "predicted_hits_error",
        "predicted_ttft_ratio", "predicted_ttft_error_s",
    ),
}  # fmt: skip
"""Figures that stand in one table, by the table's name: at most eight, so that 120 columns hold them."""


class Mark(Enum):
    """What is special about a cell."""

    NONE = ""
    BEST = "best"
    TIED = "tied"
    """Not worse than the best beyond the 95 % interval."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is shown."""

    text: str
    mark: Mark = Mark.NONE


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first column names the rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """How the numbers of a column are written."""

    factor: float
    unit: str
    decimals: int | None = None
    """None: three significant digits."""


def case_sheet(policies: Sequence[Summary], group: str, oracles: Collection[str] = ()) -> Sheet:
    """Policies of one case as rows, in their order; the figures of one of `GROUPS` as columns.

    The best value of each column is marked, and those that are not worse beyond the 95 % interval. Oracles know what
    no picker can know: they are shown, and never marked.
    """
    measures = [MEASURES[name] for name in GROUPS[group]]
    columns = [_column(policies, measure, oracles) for measure in measures]
    headings = [heading for heading, _ in columns]
    rows = [(Cell(clean(policy.policy)), *(cells[row] for _, cells in columns)) for row, policy in enumerate(policies)]
    return Sheet(_title(policies, group), ("policy", *headings), tuple(rows))


def matrix_sheet(cases: Mapping[Case, Sequence[Summary]], measure: str, oracles: Collection[str] = ()) -> Sheet:
    """Cases as rows and policies as columns, for one figure; means without intervals, marks as in `case_sheet`."""
    names = list(dict.fromkeys(policy.policy for policies in cases.values() for policy in policies))
    everything = [policy.estimate(measure) for policies in cases.values() for policy in policies]
    scale = _scale(MEASURES[measure], everything)
    rows = []
    for case, policies in cases.items():
        marks = dict(zip((one.policy for one in policies), _marks(policies, measure, oracles), strict=True))
        means = {one.policy: one.estimate(measure).mean for one in policies}
        cells = (Cell(_number(means.get(name, math.nan), scale), marks.get(name, Mark.NONE)) for name in names)
        rows.append((Cell(clean(str(case))), *cells))
    heading = _heading(MEASURES[measure], scale)
    return Sheet(heading, ("workload", *map(clean, names)), tuple(rows))


def counts_sheet(policies: Sequence[Summary]) -> Sheet | None:
    """What was counted, per run: failures by kind, and the runs' own counters. None when there is nothing."""
    counted = [
        {seed: {**figures.counters, **_failed(figures.failures)} for seed, figures in policy.by_seed.items()}
        for policy in policies
    ]
    names = sorted({name for seeds in counted for counters in seeds.values() for name in counters})
    if not names:
        return None
    scale = _Scale(1, "")
    rows = []
    for policy, seeds in zip(policies, counted, strict=True):
        means = (_mean(counters.get(name, 0.0) for counters in seeds.values()) for name in names)
        rows.append((Cell(clean(policy.policy)), *(Cell(_number(mean, scale)) for mean in means)))
    return Sheet(_title(policies, "counts per run"), ("policy", *map(clean, names)), tuple(rows))


def number(value: float) -> str:
    """Three significant digits, at most three after the point; nothing for NaN."""
    return _number(value, _Scale(1, ""))


def clean(text: str) -> str:
    """Text that others chose, on one line: what cannot be printed is shown as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _title(policies: Sequence[Summary], group: str) -> str:
    if not policies:
        return group
    counts = sorted({len(policy.by_seed) for policy in policies})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"{clean(str(policies[0].case))}: {group} ({seeds} seed{'' if counts == [1] else 's'})"


def _column(policies: Sequence[Summary], measure: Measure, oracles: Collection[str]) -> tuple[str, list[Cell]]:
    estimates = [policy.estimate(measure.name) for policy in policies]
    scale = _scale(measure, estimates)
    marks = _marks(policies, measure.name, oracles)
    cells = [Cell(_with_interval(one, scale), mark) for one, mark in zip(estimates, marks, strict=True)]
    return _heading(measure, scale), cells


def _marks(policies: Sequence[Summary], measure: str, oracles: Collection[str]) -> list[Mark]:
    best = best_of([policy for policy in policies if policy.policy not in oracles], measure)
    if best is None:
        return [Mark.NONE] * len(policies)
    return [Mark.NONE if policy.policy in oracles else _mark(policy, best, measure) for policy in policies]


def _mark(policy: Summary, best: Summary, measure: str) -> Mark:
    if policy is best or policy.estimate(measure).mean == best.estimate(measure).mean:
        return Mark.BEST
    return Mark.TIED if policy.compare(best, measure).verdict is Verdict.EQUAL else Mark.NONE


def _heading(measure: Measure, scale: _Scale) -> str:
    return f"{measure.heading}, {scale.unit}" if scale.unit else measure.heading


def _scale(measure: Measure, estimates: Iterable[Estimate]) -> _Scale:
    most = max((abs(one.mean) for one in estimates if math.isfinite(one.mean)), default=0.0)
    match measure.unit:
        case Unit.SECONDS:
            return _Scale(1e3, "ms") if most < 1 else _Scale(1, "s")
        case Unit.SHARE:
            return _Scale(100, "%", 1)
        case Unit.RATIO:
            return _Scale(1, "", 2)
        case Unit.TOKENS | Unit.PER_SECOND:
            factor, prefix = (1e-6, "M") if most >= 1e7 else (1e-3, "k") if most >= 1e4 else (1, "")
            return _Scale(factor, f"{prefix} {measure.unit.value}".strip())
        case Unit.DOLLARS:
            return _Scale(1, "$")


def _with_interval(value: Estimate, scale: _Scale) -> str:
    text = _number(value.mean, scale)
    if not math.isfinite(value.half_width):
        return text
    half = f"{value.half_width * scale.factor:,.{_decimals(value.mean, scale)}f}"
    return f"{text}±{half.removeprefix('0') if half.strip('0.') else '0'}"


def _number(value: float, scale: _Scale) -> str:
    return "" if math.isnan(value) else f"{value * scale.factor:,.{_decimals(value, scale)}f}"


def _decimals(value: float, scale: _Scale) -> int:
    if scale.decimals is not None:
        return scale.decimals
    size = abs(value * scale.factor)
    if size == 0 or size >= 99.95:
        return 0
    return 1 if size >= 9.995 else 2 if size >= 0.9995 else 3


def _failed(failures: Mapping[str, int]) -> dict[str, float]:
    return {f"failed: {kind}": float(count) for kind, count in failures.items()}


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else math.nan

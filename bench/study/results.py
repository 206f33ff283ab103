"""What a study measured: as lines while it runs, and as the file from which pages are written.

Lines are appended run by run, so that a study that is interrupted can go on. The file has some figures of each run
(`KEPT`), with four digits:

    {"plan": "full", "measures": ["ttft_mean_s", ...], ...,
     "cases": {"chat": {"homogeneous": {"default": {"1": [0.1234, ...], ...}, ...}}}}
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.study.plan import Run
from epp.reports import MEASURES, Case, Figures, Record

__all__ = [
    "KEPT",
    "Lines",
    "Results",
    "Setting",
    "figures_from",
    "read_results",
    "this_commit",
    "this_setting",
    "write_results",
]

KEPT = (
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p90_s",
    "ttft_p99_s",
    "tpot_mean_s",
    "e2e_mean_s",
    "e2e_p90_s",
    "slo_share",
    "hit_share",
    "hit_of_ceiling",
    "imbalance_tokens",
    "failed_share",
)
"""The figures that tables and criteria need."""

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """Where, when and of what a study was made. Its figures are of virtual time: they do not depend on the machine."""

    plan: str
    at: str
    commits: tuple[str, ...]
    """Of the code that made the runs; `+` at the end: with changes that were not committed."""
    cpu: str
    cores: int
    python: str
    slo: str


@dataclass(frozen=True, slots=True)
class Results:
    """All that pages are made of."""

    setting: Setting
    records: Sequence[Record]
    """Figures that are not in `KEPT` are NaN."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Runs in a file, one JSON object on each line."""

    path: Path

    def read(self) -> dict[Run, Record]:
        """Runs by their names; the last of each counts."""
        records = (_record(line) for line in self._whole())
        return {Run(record.case, record.policy, record.seed): record for record in records}

    def commits(self) -> tuple[str, ...]:
        """The code that the runs were made with, each once."""
        return tuple(dict.fromkeys(str(line["commit"]) for line in self._whole()))

    def append(self, record: Record, commit: str) -> None:
        """Adds a run. Raises OSError."""
        with self.path.open("a") as file:
            file.write(json.dumps({**_line(record), "commit": commit}) + "\n")

    def forget(self, runs: Collection[Run]) -> None:
        """Takes runs out, and a last line that was cut off. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._whole() if _name(line) not in runs]
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(line) + "\n" for line in kept))
        new.replace(self.path)

    def _whole(self) -> Iterator[dict[str, Any]]:
        """Lines that were written to their end."""
        text = self.path.read_text() if self.path.exists() else ""
        return (json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n"))


def this_setting(plan: str, slo: str, commits: Sequence[str]) -> Setting:
    """Of a study that ends now, on this machine."""
    names = [line.partition(":")[2] for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return Setting(
        plan=plan,
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commits=tuple(commits),
        cpu=names[0].strip() if names else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        slo=slo,
    )


def write_results(path: Path, results: Results) -> None:
    """Writes the file, one line per case and policy. The same bytes for the same results. Raises OSError."""
    head = {**asdict(results.setting), "measures": KEPT}
    lines = [f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items()]
    path.write_text("{\n" + "".join(lines) + f' "cases": {_cases(results.records)}\n}}\n')


def read_results(path: Path) -> Results:
    """What `write_results` wrote. Raises OSError, and ValueError or KeyError for another file."""
    found = json.loads(path.read_text())
    setting = Setting(**{**{name: found[name] for name in Setting.__slots__}, "commits": tuple(found["commits"])})
    records = [
        Record(policy, Case(workload, condition), int(seed), figures_from(zip(found["measures"], values, strict=True)))
        for workload, conditions in found["cases"].items()
        for condition, policies in conditions.items()
        for policy, seeds in policies.items()
        for seed, values in seeds.items()
    ]
    return Results(setting, records)


def figures_from(values: Iterable[tuple[str, float | None]]) -> Figures:
    """Figures of which only some are known; the others are NaN."""
    known = {name: math.nan if value is None else value for name, value in values}
    return Figures(0, 0, {}, {}, **{name: known.get(name, math.nan) for name in MEASURES})


def _cases(records: Iterable[Record]) -> str:
    """As JSON with a line for each policy."""
    nested: dict[str, dict[str, dict[str, dict[str, list[float | None]]]]] = {}
    for one in sorted(records, key=lambda record: (record.policy, record.seed)):
        conditions = nested.setdefault(one.case.workload, {})
        seeds = conditions.setdefault(one.case.condition, {}).setdefault(one.policy, {})
        seeds[str(one.seed)] = [_short(one.figures.value(name)) for name in KEPT]
    return _braces(
        {
            workload: _braces(
                {
                    condition: _braces({policy: json.dumps(seeds) for policy, seeds in policies.items()}, 3)
                    for condition, policies in conditions.items()
                },
                2,
            )
            for workload, conditions in nested.items()
        },
        1,
    )


def _braces(values: Mapping[str, str], depth: int) -> str:
    inside = ",\n".join(f"{' ' * (depth + 1)}{json.dumps(name)}: {value}" for name, value in values.items())
    return f"{{\n{inside}\n{' ' * depth}}}"


def _short(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _line(record: Record) -> dict[str, object]:
    values = {name: record.figures.value(name) for name in KEPT}
    return {
        "workload": record.case.workload,
        "condition": record.case.condition,
        "policy": record.policy,
        "seed": record.seed,
        "figures": {name: value if math.isfinite(value) else None for name, value in values.items()},
    }


def _record(line: Mapping[str, Any]) -> Record:
    run = _name(line)
    return Record(run.policy, run.case, run.seed, figures_from(line["figures"].items()))


def _name(line: Mapping[str, Any]) -> Run:
    return Run(Case(line["workload"], line["condition"]), line["policy"], line["seed"])


def this_commit() -> str:
    """Of the code that runs, `+` at its end with changes that were not committed; empty where there is no git."""
    root = Path(__file__).parents[2]
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "epp", "bench"])
    try:
        said = [subprocess.run(one, cwd=root, capture_output=True, text=True, check=True).stdout for one in commands]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said[0].strip() + ("+" if said[1].strip() else "")


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""

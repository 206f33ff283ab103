"""Checks a configuration without starting anything, for `epp check`."""

from __future__ import annotations

from dataclasses import dataclass

from epp.config.errors import Findings, Place, Problem
from epp.config.load import ConfigFile, read_written

__all__ = ["CheckReport", "check_text"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that was found, each list by line."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    absent: tuple[Problem, ...]
    """Plugins and sections of the Go picker that are not here, with what happens instead."""
    notes: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """1 with errors, 2 when something is not here, else 0."""
        return 1 if self.errors else 2 if self.absent else 0

    def __str__(self) -> str:
        kinds = (("error", self.errors), ("not here", self.absent), ("warning", self.warnings), ("note", self.notes))
        return "\n".join(f"{kind}: {problem}" for kind, problems in kinds for problem in problems)


def check_text(data: bytes, source: str) -> CheckReport:
    """What a start with this file would say. Endpoints may come by flags, so a file without any is only noted."""
    findings = Findings()
    written = read_written(ConfigFile(data, source), {}, {}, findings)
    if written and not written.names_endpoints:
        message = "names no endpoints: flags must, see --endpoint, --endpoints-file, --dns, --srv and --pool-name"
        findings.notes.append(Problem(Place(source, 1, 1), "", message))
    return CheckReport(
        *(_by_place(each) for each in (findings.errors, findings.warnings, findings.absent, findings.notes))
    )


def _by_place(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.place))

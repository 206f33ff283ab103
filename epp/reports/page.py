"""A report as one HTML page that needs nothing beside itself: no script, no network, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from epp.reports import plots
from epp.reports.drawing import inline_svg
from epp.reports.losses import losses
from epp.reports.markup import document, element, heat_table, legend, sheet_table, text, worst_table
from epp.reports.runs import Run
from epp.reports.sheets import GROUPS, case_sheet, counts_sheet, matrix_sheet
from epp.reports.slo import Slo
from epp.reports.summaries import Case, Record, Summary, best_of, record_of, summaries
from epp.reports.verdicts import verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MOST_DETAILED", "page", "write_page"]

MOST_DETAILED = 12
"""Workloads and conditions with plots, the first ones; others have their tables. With 13 policies one takes 1 MB."""

_WIDTH = 10.0
"""Inches, of all plots: 72 points each."""

_OPEN = ("overview", "service and cost")
"""Groups of figures that are seen without a click."""

_LOSS_NOTE = (
    "Each call against the same call (workload, seed, number) under {best}, which has the lowest mean here. Seconds are"
    " summed over calls that both answered; negative ones were won. Shares are of what the policy lost."
)
_WORST_NOTE = (
    "Computed tokens are those of the prompt that the server did not find in its cache. What a call waited is guessed:"
    " its time to the first token less the time that these tokens take where nothing else is in front."
)


@dataclass(frozen=True, slots=True)
class _Section:
    """One workload under one condition."""

    number: int
    case: Case
    policies: Sequence[Summary]
    runs: plots.RunsByPolicy
    """In the order of `policies`."""
    oracles: Collection[str] = field(default=())


def write_page(
    runs: Sequence[Run],
    path: Path,
    title: str,
    settings_text: str = "",
    *,
    slo: Slo | None = None,
    oracles: Collection[str] = (),
    records: Sequence[Record] = (),
) -> None:
    """Writes the page; see `page`. Raises DrawingError when matplotlib is missing, and OSError."""
    path.write_text(
        page(runs, title, settings_text, slo=slo, oracles=oracles, records=records), encoding="utf-8", newline="\n"
    )


def page(
    runs: Sequence[Run],
    title: str,
    settings_text: str = "",
    *,
    slo: Slo | None = None,
    oracles: Collection[str] = (),
    records: Sequence[Record] = (),
) -> str:
    """The page. The same runs give the same text.

    `records` are of runs that were not kept whole: they get tables, not plots. `oracles` name policies that know what
    no picker can know. Raises DrawingError when matplotlib is missing, ValueError when a run stands there twice.
    """
    limits = slo or Slo()
    cases = summaries([*(record_of(run, limits) for run in runs), *records])
    sections = [
        _Section(number, case, policies, _runs_of(runs, case, policies), oracles)
        for number, (case, policies) in enumerate(cases.items())
    ]
    body = [element("h1", text(title)), *_summary(sections, cases, limits, oracles)]
    if settings_text:
        body.append(element("details", element("summary", "Settings"), element("pre", text(settings_text, lines=True))))
    for section in sections:
        body += [element("h2", text(str(section.case)), id=f"case-{section.number}"), *_section(section)]
    return document(title, body)


def _runs_of(runs: Sequence[Run], case: Case, policies: Sequence[Summary]) -> plots.RunsByPolicy:
    here = [run for run in runs if Case(run.workload, run.condition) == case]
    by_policy = {one.policy: [run for run in here if run.policy == one.policy] for one in policies}
    return {policy: sorted(found, key=lambda run: run.seed) for policy, found in by_policy.items() if found}


def _summary(
    sections: Sequence[_Section], cases: dict[Case, list[Summary]], slo: Slo, oracles: Collection[str]
) -> Iterator[str]:
    yield element("p", text(f"SLO: {slo}. ± is half of the 95 % interval over seeds."), _class="note")
    sentences = (
        element(
            "li",
            element("a", element("b", text(str(one.case))), href=f"#case-{one.number}"),
            ": ",
            text(verdict(one.policies, oracles)),
        )
        for one in sections
    )
    yield element("ul", *sentences)
    if len(sections) > 1:
        yield from (
            sheet_table(matrix_sheet(cases, name, oracles)) for name in ("ttft_mean_s", "ttft_p90_s", "slo_share")
        )


def _section(section: _Section) -> Iterator[str]:
    yield sheet_table(case_sheet(section.policies, "overview", section.oracles))
    yield element("p", "Green: best (bold), or not worse than it beyond the 95 % interval.", _class="note")
    yield sheet_table(case_sheet(section.policies, "service and cost", section.oracles))
    others = [case_sheet(section.policies, group, section.oracles) for group in GROUPS if group not in _OPEN]
    counts = counts_sheet(section.policies)
    tables = [sheet_table(sheet) for sheet in (*others, *([counts] if counts else []))]
    yield element("details", element("summary", "More figures"), *tables)
    if not section.runs:
        return
    if section.number >= MOST_DETAILED:
        yield element("p", f"Plots are drawn for the first {MOST_DETAILED} workloads and conditions.", _class="note")
        return
    yield from _distributions(section)
    yield from _hits(section)
    yield from _losses(section)
    yield from _timelines(section)
    yield from _predictions(section)


def _distributions(section: _Section) -> Iterator[str]:
    yield element("h3", "How long calls took")
    yield legend(list(section.runs))
    yield _plot(section, "times", 3.0, plots.draw_distributions, "Share of answered calls that took at most so long.")


def _hits(section: _Section) -> Iterator[str]:
    yield element("h3", "Cache hits against the ceiling")
    caption = "The ceiling is a cache without bounds that all pods share."
    yield _plot(section, "hits", 0.8 + 0.25 * len(section.runs), plots.draw_hits, caption)


def _losses(section: _Section) -> Iterator[str]:
    candidates = [one for one in section.policies if one.policy in section.runs and one.policy not in section.oracles]
    best = best_of(candidates, "ttft_mean_s")

    found = losses([run for runs in section.runs.values() for run in runs], best.policy) if best else []
    if not found or best is None:
        return
    yield element("h3", "Where each policy loses")
    yield element("p", text(_LOSS_NOTE.format(best=best.policy)), _class="note")
    yield from (heat_table(found, place) for place in range(len(found[0].bins)))
    failed = ", ".join(f"{one.policy} {one.failed_here}" for one in found if one.failed_here)
    if failed:
        yield element(
            "p", text(f"Calls that failed here and were answered under {best.policy}: {failed}."), _class="note"
        )
    worst = [worst_table(one, best.policy) for one in found if one.worst]
    if worst:
        note = element("p", text(_WORST_NOTE), _class="note")
        yield element("details", element("summary", "Worst calls"), note, *worst)


def _timelines(section: _Section) -> Iterator[str]:
    seen = {policy: runs for policy, runs in section.runs.items() if runs[0].timeline is not None}
    if not seen:
        return
    yield element("h3", "What the pods did")
    caption = (
        f"First seed. Up to {plots.MOST_PODS} pods have a line each, the same colour everywhere;"
        " of more, the least, the median (dark) and the most are drawn."
    )
    yield _plot(section, "pods", 0.7 + 0.95 * len(seen), plots.draw_timelines, caption, seen)


def _predictions(section: _Section) -> Iterator[str]:
    seen = {policy: runs for policy, runs in section.runs.items() if plots.has_predictions(runs[0])}
    if not seen:
        return
    yield element("h3", "What the picker expected, and what came")
    height = 0.3 + 1.9 * plots.panel_rows(len(seen))
    times = "Time to the first token, s: expected across, seen up, with the line on which both are equal. First seed."
    yield _plot(section, "expected-times", height, plots.draw_predicted_ttft, times, seen)
    hits = "Hit tokens in thousands, likewise."
    yield _plot(section, "expected-hits", height, plots.draw_predicted_hits, hits, seen)


def _plot(
    section: _Section,
    name: str,
    height: float,
    draw: Callable[[Figure, plots.RunsByPolicy], None],
    caption: str,
    runs: plots.RunsByPolicy | None = None,
) -> str:
    svg = inline_svg(
        f"{name}-{section.number}",
        caption,
        _WIDTH,
        height,
        partial(_drawn, draw, section.runs if runs is None else runs),
    )
    return element("figure", svg, element("figcaption", text(caption)))


def _drawn(draw: Callable[[Figure, plots.RunsByPolicy], None], runs: plots.RunsByPolicy, figure: Figure) -> None:
    draw(figure, runs)

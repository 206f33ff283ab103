"""Runs the study: `python -m bench.study --help`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.extproc.tables import MissingMarkerError
from bench.study.conditions import CONDITIONS
from bench.study.matrix import Pace, missing, run_matrix
from bench.study.pages import places, tables, write_pages
from bench.study.plan import FULL, PLANS, SLO, Plan, run_of
from bench.study.results import Lines, Results, read_results, this_setting, write_results
from bench.workloads import ALL
from epp.commands.policies import policy_names
from epp.simulator.runner import RunFailedError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
LOCAL = RESULTS / "local"
STUDY = RESULTS / "study.json"
PAGE = ROOT / "docs" / "policy.md"

_SHOW_EVERY_S = 20.0

_INTERRUPTED = 130
"""What a shell says of a program that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line asks for. The exit status."""
    options = parser().parse_args(arguments)
    plan = PLANS[options.plan]
    try:
        if options.pages:
            write_pages(read_results(STUDY), PAGE, RESULTS)
        elif options.show:
            _show(plan)
        elif results := _measure(plan, options):
            _keep(plan, results)
    except KeyboardInterrupt:
        _say("interrupted; --resume goes on from here")
        return _INTERRUPTED
    except (RunFailedError, MissingMarkerError, OSError) as error:
        _say(f"error: {error}")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(prog="python -m bench.study", description="Every policy on every workload.")
    flags.add_argument("--plan", choices=PLANS, default=FULL.name, help="how much is run (default: %(default)s)")
    flags.add_argument("--resume", action="store_true", help="go on where an earlier study of the plan stopped")
    flags.add_argument("--again", action="store_true", help="with --resume: run what is chosen again")
    for flag, names in (("--policy", policy_names()), ("--workload", ALL), ("--condition", CONDITIONS)):
        flags.add_argument(flag, action="append", default=[], choices=names, metavar="NAME", help="only; repeatable")
    flags.add_argument("--pages", action="store_true", help="write the pages from the kept results, and run nothing")
    flags.add_argument("--show", action="store_true", help="print tables of the runs so far, and run nothing")
    flags.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    return flags


def _measure(plan: Plan, options: argparse.Namespace) -> Results | None:
    """Runs what is missing. The results when nothing is missing any more."""
    LOCAL.mkdir(parents=True, exist_ok=True)
    lines = _lines(plan)
    chosen = plan.only(options.workload, options.condition, options.policy)
    if not options.resume and lines.path.exists():
        lines.path.replace(lines.path.with_suffix(".before.jsonl"))
    lines.forget([run_of(job) for job in chosen.jobs()] if options.again else ())
    known = lines.read()
    jobs = missing(chosen, known)
    minutes = sum(map(plan.seconds, jobs)) / 60
    _say(f"{len(jobs)} runs to make, {len(known)} known; about {minutes:.0f} min of one core")
    run_matrix(plan, jobs, lines, options.jobs, time.monotonic, _Teller())
    known = lines.read()
    wanted = [run_of(job) for job in plan.jobs()]
    if left := sum(run not in known for run in wanted):
        _say(f"{left} runs are missing still; --resume makes them")
        return None
    return Results(this_setting(plan.name, str(SLO), lines.commits()), [known[run] for run in wanted])


class _Teller:
    """Says now and then how far the study is."""

    def __init__(self) -> None:
        self._told_at = -_SHOW_EVERY_S

    def __call__(self, pace: Pace) -> None:
        now = time.monotonic()
        if now - self._told_at >= _SHOW_EVERY_S or not pace.runs_left:
            self._told_at = now
            _say(pace.text(now))


def _keep(plan: Plan, results: Results) -> None:
    """The full study's results go into the pages, others' to where version control does not look."""
    if plan is FULL:
        write_results(STUDY, results)
        write_pages(read_results(STUDY), PAGE, RESULTS)  # with as many digits as are kept
        return
    write_results(LOCAL / f"study-{plan.name}.json", results)
    page = LOCAL / f"study-{plan.name}.md"
    page.write_text(places())
    write_pages(results, page, LOCAL)


def _show(plan: Plan) -> None:
    """Tables of what there is, for a terminal."""
    lines = _lines(plan)
    results = Results(this_setting(plan.name, str(SLO), lines.commits()), list(lines.read().values()))
    for table in tables(results):
        print(f"\n{table.text()}", end="")


def _lines(plan: Plan) -> Lines:
    return Lines(LOCAL / f"study-{plan.name}.jsonl")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`epp simulate`: configurations side by side on one workload, in virtual time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import epp
from epp.commands.failing import Status, fail
from epp.commands.finding_pods import MAX_PODS, Trial, fewest_pods
from epp.commands.policies import labels_of, policy_names, warnings_of
from epp.commands.pool_files import default_pool, read_pool, with_adapter_slots
from epp.commands.studies import Source, Study
from epp.config.errors import ConfigError
from epp.reports import (
    GROUPS,
    Document,
    DrawingError,
    Record,
    Run,
    Slo,
    draw_picture,
    record_of,
    tables,
    write_json,
    write_page,
)
from epp.reports.drawing import new_figure
from epp.reports.tables import LEGEND, OVERVIEW
from epp.simulator.hardware import HARDWARE
from epp.simulator.oracles import ORACLES
from epp.simulator.runner import RunFailedError
from epp.simulator.scenario import Scenario
from epp.workloads import Workload, WorkloadError
from epp.workloads.generators import GENERATORS

__all__ = ["simulate"]

_ENOUGH = 0.95
"""Share of requests that must keep the objective with the number of pods that is looked for."""

PIPE_WIDTH = 120
"""Columns of the tables where no terminal says how many there are."""

PICTURE_SUFFIXES = (".svg", ".png", ".pdf")

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE|NAME",
    help="Configuration file, or name of a shipped profile or oracle; repeatable.  [default: default]",
)
@click.option("--all", "everything", is_flag=True, help="All shipped profiles and both oracles.")
@click.option("--trace", type=_FILE, help="Requests to replay; the file's format is found out.")
@click.option("--workload", metavar="SPEC", help="Requests to make up instead: NAME or NAME:key=value,...")
@click.option("--pool", "pool_file", type=_FILE, help="Pods, what pickers see, incidents.  [default: 8 pods]")
@click.option("--pods", type=click.IntRange(1, MAX_PODS), help="Another number of pods of the pool's kinds.")
@click.option("--rate", type=float, default=1.0, help="Times as many requests per second.")
@click.option("--first", type=click.IntRange(1), help="Only so many requests.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, help="Runs of each configuration.")
@click.option("--slo", "slo_text", default="ttft=2s,tpot=50ms", metavar="SPEC", help="What a good answer keeps.")
@click.option("--full", is_flag=True, help="Print all figures, not the overview alone.")
@click.option("--find-pods", is_flag=True, help="Find the fewest pods with which 95 % of the requests keep the SLO.")
@click.option("--json", "json_file", type=_FILE, help="Write all figures there.")
@click.option("--html", "html_file", type=_FILE, help="Write a page with plots there.")
@click.option("--picture", "picture_file", type=_FILE, help="Draw the essence there: .svg or .png.")
@click.option("--jobs", type=click.IntRange(1, 256), default=os.cpu_count() or 1, help="Processes.")
@click.option("--list", "list_names", is_flag=True, help="Name profiles, generators and hardware, and do nothing else.")
def simulate(
    *,
    configs: tuple[str, ...],
    everything: bool,
    trace: Path | None,
    workload: str | None,
    pool_file: Path | None,
    pods: int | None,
    rate: float,
    first: int | None,
    seeds: int,
    slo_text: str,
    full: bool,
    find_pods: bool,
    json_file: Path | None,
    html_file: Path | None,
    picture_file: Path | None,
    jobs: int,
    list_names: bool,
) -> None:
    """Compare configurations on a trace or on made-up requests, with simulated pods, in virtual time.

    The routers are those that serve traffic, the engines those of `epp sim-server`.
    """
    if list_names:
        _print_names()
        return
    _check_flags(trace, workload, rate)
    outputs, slo = _Outputs(json_file, html_file, picture_file), _slo(slo_text)
    if find_pods and outputs.paths:
        raise click.UsageError("--find-pods prints a table and writes no files: leave --json, --html and --picture out")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the progress bar must give the cursor back
    source = Source(trace, workload or "", rate, first)
    study = Study(source, _chosen(configs, everything), seeds, jobs)
    try:
        scenario = read_pool(pool_file) if pool_file else default_pool()
        scenario = scenario if pods is None else scenario.with_pods(pods)
        outputs.check()
        sample = _sample(study)
        if pool_file is None and sample.adapters:
            scenario = with_adapter_slots(scenario)
        _warn(study, scenario, sample)
        if find_pods:
            _find_pods(study, scenario, slo, len(sample.calls))
        else:
            _compare(study, scenario, slo, sample, outputs, tuple(GROUPS) if full else OVERVIEW)
    except KeyboardInterrupt:
        raise fail("interrupted", Status.SIGNAL + signal.SIGINT) from None
    except (ConfigError, WorkloadError, RunFailedError, DrawingError, OSError) as error:
        raise fail(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Files to write."""

    json_file: Path | None
    html_file: Path | None
    picture_file: Path | None

    @property
    def paths(self) -> list[Path]:
        """Those that are wanted."""
        return [path for path in (self.json_file, self.html_file, self.picture_file) if path]

    def check(self) -> None:
        """What can be known beforehand is no surprise after hours. Raises OSError or DrawingError."""
        for path in self.paths:
            if not path.absolute().parent.is_dir():
                raise NotADirectoryError(f"{path}: there is no directory {path.parent}")
        if self.html_file or self.picture_file:
            new_figure(1.0, 1.0)
        if self.picture_file and self.picture_file.suffix not in PICTURE_SUFFIXES:
            raise DrawingError(f"{self.picture_file}: pictures end in {', '.join(PICTURE_SUFFIXES)}")

    def write(self, records: Sequence[Record], runs: Sequence[Run], slo: Slo, settings: dict[str, str]) -> None:
        """Writes them. Raises DrawingError, OSError."""
        if self.json_file:
            write_json(self.json_file, Document(records, slo, settings, runs))
        if self.html_file:
            text = ", ".join(f"{name}: {value}" for name, value in settings.items())
            title = f"{settings['workload']}, simulated"
            write_page(runs, self.html_file, title, text, slo=slo, oracles=tuple(ORACLES))
        if self.picture_file:
            draw_picture(runs, self.picture_file)


def _check_flags(trace: Path | None, workload: str | None, rate: float) -> None:
    """What does not go together is a usage error."""
    if (trace is None) == (workload is None):
        raise click.UsageError("give one of --trace FILE and --workload SPEC (see --list)")
    if not 0 < rate < inf:
        raise click.UsageError(f"--rate is {rate:g}; it must be a number more than 0")


def _slo(text: str) -> Slo:
    try:
        return Slo.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--slo") from None


def _chosen(configs: Sequence[str], everything: bool) -> list[str]:  # noqa: FBT001 - two flags of one question
    """The policies, in the order in which they were asked for."""
    wanted = configs or (() if everything else ("default",))
    return list(dict.fromkeys((*wanted, *(policy_names() if everything else ()))))


def _sample(study: Study) -> Workload:
    """The first workload, and a word while it is made. Raises WorkloadError."""
    with _console(stderr=True).status(f"reading {study.source.name}"):
        return study.sample()


def _warn(study: Study, scenario: Scenario, sample: Workload) -> None:
    """What will be other than asked. Raises ConfigError."""
    for warning in dict.fromkeys(text for policy in study.policies for text in warnings_of(policy)):
        click.echo(f"epp: warning: {warning}", err=True)
    if sample.adapters and not any(pod.engine.max_loras for pod in scenario.pods):
        click.echo(
            f"epp: warning: there are requests for {len(sample.adapters)} LoRA adapters, and no pod takes any: they "
            "will fail; give pods of the --pool file engine: {maxLoras: 8}",
            err=True,
        )


def _console(*, stderr: bool = False) -> Console:
    """Of a terminal's width, in a pipe wide enough for the tables. Names come from users: they are no markup."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if known else PIPE_WIDTH, markup=False, highlight=False, emoji=False)


def _compare(
    study: Study, scenario: Scenario, slo: Slo, sample: Workload, outputs: _Outputs, groups: Sequence[str]
) -> None:
    console = _console()
    _say(console, study, scenario, sample)
    runs = study.run(scenario, len(sample.calls), _console(stderr=True))
    records = [record_of(run, slo) for run in runs]
    for table in tables(records, groups, oracles=tuple(ORACLES)):
        console.print(table)
    console.print(f"{LEGEND}; SLO {slo}", style="dim")
    pool = scenario.name or "default"
    outputs.write(records, runs, slo, {"workload": study.source.name, "pool": pool, "epp": epp.__version__})
    for path in outputs.paths:
        console.print(f"written: {path}", style="dim")


def _say(console: Console, study: Study, scenario: Scenario, sample: Workload) -> None:
    prompt = sum(call.prompt_tokens for call in sample.calls) / len(sample.calls)
    output = sum(call.output_tokens for call in sample.calls) / len(sample.calls)
    console.print(
        f"{len(sample.calls)} requests in {sample.duration_s:.0f} s, on average {prompt:.0f} prompt and {output:.0f} "
        f"output tokens; {_count(len(scenario.pods), 'pod')}, {_count(len(study.policies), 'configuration')}, "
        f"{_count(study.seeds, 'seed')}"
    )


def _count(number: int, of: str) -> str:
    return f"{number} {of}" if number == 1 else f"{number} {of}s"


def _find_pods(study: Study, scenario: Scenario, slo: Slo, calls: int) -> None:
    console, labels = _console(), labels_of(study.policies)
    table = Table(box=None, pad_edge=False)
    for heading in ("policy", "pods", "kept", "per hour", "per 1,000 requests"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for policy in study.policies:
        one = replace(study, policies=[policy])
        found, trials = fewest_pods(partial(_trial, one, scenario, slo, calls), len(scenario.pods), _ENOUGH)
        table.add_row(labels[policy], *_row(found, trials))
        tried = ", ".join(f"{trial.pods}: {trial.kept:.1%}" for trial in trials)
        console.print(f"{labels[policy]}: share of requests that keep {slo} by number of pods: {tried}", style="dim")
        if found is None:
            best = max(trials, key=lambda trial: trial.kept)
            shares = ", ".join(f"{share:.1%} of requests keep {limit}" for limit, share in best.kept_each.items())
            console.print(f"{labels[policy]}: with {_count(best.pods, 'pod')} {shares}")
    console.print(table)


def _row(found: Trial | None, trials: Sequence[Trial]) -> tuple[str, str, str, str]:
    """Pods, share kept and prices of what was found; or how far the search went and the best share."""
    if found is None:
        best = max(trial.kept for trial in trials)
        most = trials[-1].pods
        return f"more than {most}" if most == MAX_PODS else "no number", f"{best:.1%} at best", "", ""
    if not found.price_per_hour:
        return str(found.pods), f"{found.kept:.1%}", "no price", "no price"
    return str(found.pods), f"{found.kept:.1%}", f"${found.price_per_hour:.2f}", f"${found.cost_per_1000:.3f}"


def _trial(study: Study, scenario: Scenario, slo: Slo, calls: int, pods: int) -> Trial:
    pool = scenario.with_pods(pods)
    runs = study.run(pool, calls, _console(stderr=True))
    figures = [record_of(run, slo).figures for run in runs]
    return Trial(
        pods,
        kept=_mean([one.slo_share for one in figures]),
        price_per_hour=sum(pod.price_per_hour for pod in pool.pods),
        cost_per_1000=_mean([one.cost_per_1000 for one in figures]),
        busy=_mean([one.gpu_utilisation for one in figures]),
        kept_each={
            str(limit): _mean([record_of(run, limit).figures.slo_share for run in runs]) for limit in slo.limits()
        },
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _print_names() -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print("profiles and oracles:", ", ".join(policy_names()))
    console.print("generators of --workload:")
    for name, kind in GENERATORS.items():
        console.print(f"  {name}: {(kind.__doc__ or '').splitlines()[0]}")
    console.print("hardware of pool files:")
    for name, hardware in HARDWARE.items():
        console.print(f"  {name}: ${hardware.price_per_hour:.2f} per hour")

"""`epp simulate`: configurations side by side on one workload, in virtual time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import epp
from epp.commands.failing import Status, fail
from epp.commands.finding_pods import MAX_PODS, Trial, fewest_pods
from epp.commands.policies import label_of, load_policy, policy_names
from epp.commands.pool_files import default_pool, read_pool
from epp.commands.studies import Source, Study
from epp.config.errors import ConfigError
from epp.reports import Document, DrawingError, Slo, draw_picture, record_of, tables, write_json, write_page
from epp.reports.tables import LEGEND
from epp.simulator.hardware import HARDWARE
from epp.simulator.oracles import ORACLES
from epp.simulator.scenario import Scenario
from epp.workloads import Workload, WorkloadError
from epp.workloads.generators import GENERATORS

__all__ = ["simulate"]

_ENOUGH = 0.95
"""Share of requests that must keep the objective with the number of pods that is looked for."""

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
    if (trace is None) == (workload is None):
        raise click.UsageError("give one of --trace FILE and --workload SPEC (see --list)")
    if not rate > 0:
        raise click.UsageError(f"--rate is {rate:g}; it must be more than 0")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the progress bar must give the cursor back
    policies = list(dict.fromkeys(configs or ([] if everything else ["default"])))
    policies += [name for name in policy_names() if everything and name not in policies]
    outputs = _Outputs(json_file, html_file, picture_file)
    try:
        slo = Slo.parse(slo_text)
        scenario = read_pool(pool_file) if pool_file else default_pool()
        scenario = scenario if pods is None else scenario.with_pods(pods)
        for name in policies:
            load_policy(name)
        study = Study(Source(trace, workload or "", rate, first), policies, seeds, jobs)
        sample = study.source.make("", 1)
    except (ConfigError, WorkloadError, ValueError) as error:
        raise fail(str(error)) from None
    try:
        if find_pods:
            _find_pods(study, scenario, slo, len(sample.calls))
        else:
            _compare(study, scenario, slo, sample, outputs)
    except KeyboardInterrupt:
        raise fail("interrupted", Status.SIGNAL + signal.SIGINT) from None
    except (DrawingError, OSError) as error:
        raise fail(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Files to write."""

    json_file: Path | None
    html_file: Path | None
    picture_file: Path | None


def _compare(study: Study, scenario: Scenario, slo: Slo, sample: Workload, outputs: _Outputs) -> None:
    console = Console(soft_wrap=False)
    _say(console, study, scenario, sample)
    runs = study.run(scenario, len(sample.calls), Console(stderr=True))
    records = [record_of(run, slo) for run in runs]
    for table in tables(records, oracles=tuple(ORACLES)):
        console.print(table)
    console.print(f"{LEGEND}; SLO {slo}", style="dim", highlight=False)
    settings = {"workload": study.source.name, "pool": scenario.name, "epp": epp.__version__}
    if outputs.json_file:
        write_json(outputs.json_file, Document(records, slo, settings, runs))
    if outputs.html_file:
        text = ", ".join(f"{name}: {value}" for name, value in settings.items())
        write_page(runs, outputs.html_file, f"{study.source.name}, simulated", text, slo=slo, oracles=tuple(ORACLES))
    if outputs.picture_file:
        draw_picture(runs, outputs.picture_file)
    for path in filter(None, (outputs.json_file, outputs.html_file, outputs.picture_file)):
        console.print(f"written: {path}", highlight=False, style="dim")


def _say(console: Console, study: Study, scenario: Scenario, sample: Workload) -> None:
    prompt = sum(call.prompt_tokens for call in sample.calls) / len(sample.calls)
    output = sum(call.output_tokens for call in sample.calls) / len(sample.calls)
    console.print(
        f"{len(sample.calls)} requests in {sample.duration_s:.0f} s, on average {prompt:.0f} prompt and {output:.0f} "
        f"output tokens; {len(scenario.pods)} pods, {len(study.policies)} configurations, {study.seeds} seeds",
        highlight=False,
    )


def _find_pods(study: Study, scenario: Scenario, slo: Slo, calls: int) -> None:
    console = Console(soft_wrap=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("policy", "pods", "kept", "per hour", "per 1,000 requests"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for policy in study.policies:
        one = replace(study, policies=[policy])
        found, trials = fewest_pods(partial(_trial, one, scenario, slo, calls), len(scenario.pods), _ENOUGH)
        best = found or trials[-1]
        price = "no price" if not best.price_per_hour else f"${best.price_per_hour:.2f}"
        cost = "no price" if not best.price_per_hour else f"${best.cost_per_1000:.3f}"
        pods = str(best.pods) if found else f"more than {MAX_PODS}"
        table.add_row(label_of(policy), pods, f"{best.kept:.1%}", price, cost)
        tried = ", ".join(f"{trial.pods}: {trial.kept:.1%}" for trial in trials)
        console.print(
            f"{label_of(policy)}: share of requests that keep {slo} by number of pods: {tried}",
            style="dim",
            highlight=False,
        )
    console.print(table)


def _trial(study: Study, scenario: Scenario, slo: Slo, calls: int, pods: int) -> Trial:
    pool = scenario.with_pods(pods)
    runs = study.run(pool, calls, Console(stderr=True))
    figures = [record_of(run, slo).figures for run in runs]
    return Trial(
        pods,
        _mean([one.slo_share for one in figures]),
        sum(pod.price_per_hour for pod in pool.pods),
        _mean([one.cost_per_1000 for one in figures]),
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

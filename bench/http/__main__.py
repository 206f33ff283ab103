"""Sends a workload: `python -m bench.http --help`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.http.aiperf import aiperf_lines
from bench.http.interrupts import run
from bench.http.player import Target
from bench.http.playing import Plan, Played, play
from bench.http.results import Labels
from bench.http.showing import call_lines, show_runs, terminal, write_runs
from bench.http.sources import add_source_flags, workload_of_flags
from epp.reports.drawing import DrawingError
from epp.reports.slo import Slo
from epp.workloads.types import Workload

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for. The exit status: 1 when a call failed, 130 when it was interrupted."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        workload = workload_of_flags(options)
        slo = Slo.parse(options.slo)
        if options.aiperf:
            with options.aiperf.open("wb") as file:
                file.writelines(aiperf_lines(workload, options.model))
            return 0
        plan, target = _plan(options, workload), _target(options)
        played = run(lambda interrupts: play(plan, target, console, interrupts))
        _tell(console, options, played, slo)
    except (ValueError, OSError, DrawingError) as error:
        console.print(Text(f"error: {error}", "red"))
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    if played.interrupted:
        return INTERRUPTED
    return 0 if played.run.calls.ok.all() else 1


def _plan(options: argparse.Namespace, workload: Workload) -> Plan:
    return Plan(
        workload,
        Labels(options.name, seed=options.seed),
        options.concurrency if options.mode == "closed" else None,
        tuple(options.pod),
        options.decisions,
    )


def _target(options: argparse.Namespace) -> Target:
    run_id = f"bench-{os.getpid():x}-{time.time_ns() & 0xFFFFFFFF:x}"
    headers = dict(_header(text) for text in options.header)
    return Target(options.target, options.model, headers, options.timeout, run_id)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"--header {text!r}: write it like 'Authorization: Bearer ...'")
    return name.strip(), value.strip()


def _tell(console: Console, options: argparse.Namespace, played: Played, slo: Slo) -> None:
    if played.interrupted:
        console.print(Text(f"interrupted: {len(played.records)} calls were due, and are reported", "yellow"))
    show_runs(terminal(), [played.run], slo)
    if played.records and not played.run.calls.ok.any():
        console.print(Text(f"nothing was answered: is {options.target} what should be asked?", "red"))
    effort = played.effort
    late = f"calls were sent {effort.late_mean_s * 1e3:.1f} ms late in the mean, p99 {effort.late_p99_s * 1e3:.1f} ms"
    console.print(Text(f"client: {effort.cpu_s:.1f} s CPU ({effort.busy_share:.0%} of a core); {late}", "dim"))
    for problem in played.problems:
        console.print(Text(f"warning: {problem}", "yellow"))
    settings = {"target": options.target, "mode": options.mode, "rate": f"{options.rate:g}"}
    write_runs([played.run], slo, settings, json_file=options.json, html_file=options.html)
    if options.calls:
        options.calls.write_bytes(call_lines(played.records))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(prog="python -m bench.http", description="Sends a workload to an OpenAI endpoint.")
    flags.add_argument("--target", default="http://127.0.0.1:8080", metavar="URL", help="(default: %(default)s)")
    flags.add_argument("--model", default="sim-model", help="base model (default: %(default)s)")
    add_source_flags(flags)
    flags.add_argument(
        "--mode", choices=("open", "closed"), default="open", help="open: the workload's arrivals; closed: clients"
    )
    flags.add_argument("--concurrency", type=int, default=8, help="clients of a closed loop (default: %(default)s)")
    flags.add_argument("--timeout", type=float, default=600.0, help="seconds for a call (default: %(default)g)")
    flags.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeatable")
    flags.add_argument("--pod", action="append", default=[], metavar="IP:PORT", help="a pod, for reports; repeatable")
    flags.add_argument("--decisions", default="", metavar="URL", help="the picker's /debug/decisions, for predictions")
    flags.add_argument("--name", default="wire", help="of the policy, in reports (default: %(default)s)")
    flags.add_argument("--slo", default="ttft=2s,tpot=50ms", metavar="SPEC", help="(default: %(default)s)")
    flags.add_argument("--json", type=Path, metavar="FILE", help="write the report and all calls there")
    flags.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots there")
    flags.add_argument("--calls", type=Path, metavar="FILE", help="write a line of JSON per call there")
    flags.add_argument("--aiperf", type=Path, metavar="FILE", help="write the workload for aiperf, and send nothing")
    return flags


if __name__ == "__main__":
    sys.exit(main())

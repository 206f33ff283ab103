"""Compares pickers: `python -m bench.compare --help`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.compare.contest import Contest, compete
from bench.compare.costs import cost_table
from bench.compare.pickers import PickerSpec, our_command, parse_picker
from bench.compare.processes import ContestError
from bench.http.interrupts import Interrupts, run
from bench.http.playing import Played
from bench.http.showing import show_runs, terminal, write_runs
from bench.http.sources import add_source_flags, workload_of_flags
from epp.envoy import Observation
from epp.policies import names, text_of
from epp.reports.drawing import DrawingError
from epp.reports.slo import Slo

INTERRUPTED = 130
DEFAULT_OURS = ("default", "round-robin")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for. The exit status: 1 when a picker could not be measured."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        specs = _specs(options)
        slo = Slo.parse(options.slo)
        contests = _contests(options)
        played, failed = run(lambda interrupts: _compare(contests, specs, console, interrupts))
        _tell(console, options, played, slo)
    except (ValueError, OSError, DrawingError) as error:
        console.print(Text(f"error: {error}", "red"))
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    if any(one.interrupted for one in played):
        return INTERRUPTED
    return 1 if failed else 0


def _specs(options: argparse.Namespace) -> list[PickerSpec]:
    """Pickers in the order in which they run. Raises ValueError or OSError."""
    configs = {}
    for text in options.config:
        name, _, path = text.partition("=")
        configs[name] = Path(path).read_text()
    others = [parse_picker(text, configs) for text in options.picker]
    ours = options.ours or ([] if others else DEFAULT_OURS)
    specs = [_ours(text) for text in ours] + others
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError(f"two pickers have one name: {', '.join(spec.name for spec in specs)}")
    return specs


def _ours(text: str) -> PickerSpec:
    """Our picker with a shipped policy, `NAME`, or with a file, `NAME=FILE`. Raises ValueError or OSError."""
    name, equals, path = text.partition("=")
    command = our_command(str(Path(sys.executable).with_name("epp")))
    if equals:
        return PickerSpec(name, command, Path(path).read_text())
    if name not in names():
        raise ValueError(f"--ours {name}: there is no such policy, only: {', '.join(names())}; or write NAME=FILE")
    return PickerSpec(name, command, text_of(name))


def _contests(options: argparse.Namespace) -> list[Contest]:
    contests = []
    for seed in range(options.seed, options.seed + options.seeds):
        workload = workload_of_flags(argparse.Namespace(**{**vars(options), "seed": seed}))
        contests.append(
            Contest(
                workload,
                seed,
                options.concurrency if options.mode == "closed" else None,
                options.pods,
                tuple(shlex.split(options.sim)) + tuple(f"--adapter={name}" for name in workload.adapters),
                options.model,
                Observation(options.replies),
                options.timeout,
            )
        )
    return contests


async def _compare(
    contests: list[Contest], specs: list[PickerSpec], console: Console, interrupts: Interrupts
) -> tuple[list[Played], list[PickerSpec]]:
    """All runs, and the pickers that failed, which are not tried again. Interrupted: what there is."""
    played: list[Played] = []
    failed: list[PickerSpec] = []
    for contest in contests:
        for spec in [one for one in specs if one not in failed]:
            try:
                one = await compete(contest, spec, console, interrupts)
            except ContestError as error:
                failed.append(spec)
                console.print(Text(f"not measured: {error}", "red"))
                continue
            played.append(one)
            for problem in one.problems:
                console.print(Text(f"{spec.name}: warning: {problem}", "yellow"))
            if one.interrupted:
                console.print(Text(f"{spec.name}: interrupted after {len(one.records)} calls", "yellow"))
                return played, failed
    return played, failed


def _tell(console: Console, options: argparse.Namespace, played: list[Played], slo: Slo) -> None:
    runs = [one.run for one in played]
    if not runs:
        console.print(Text("nothing was measured", "red"))
        return
    out = terminal()
    show_runs(out, runs, slo)
    out.print(cost_table(runs))
    settings = {"pods": f"{options.pods} simulated {options.sim}", "replies": options.replies, "mode": options.mode}
    write_runs(runs, slo, settings, json_file=options.json, html_file=options.html)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(
        prog="python -m bench.compare", description="Runs one workload behind several pickers, one after the other."
    )
    flags.add_argument(
        "--ours", action="append", default=[], metavar="POLICY|NAME=FILE", help="our picker with a policy; repeatable"
    )
    flags.add_argument(
        "--picker",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="any picker; placeholders: docs/benchmarking.md",
    )
    flags.add_argument("--config", action="append", default=[], metavar="NAME=FILE", help="file for its {config}")
    add_source_flags(flags)
    flags.add_argument("--seeds", type=int, default=1, help="workloads, one seed after the other (default: 1)")
    flags.add_argument("--mode", choices=("open", "closed"), default="open")
    flags.add_argument("--concurrency", type=int, default=8, help="clients of a closed loop (default: %(default)s)")
    flags.add_argument("--pods", type=int, default=4, help="simulated pods (default: %(default)s)")
    flags.add_argument("--sim", default="", metavar="FLAGS", help="more flags of `epp sim-server`, in one word")
    flags.add_argument("--model", default="sim-model", help="base model (default: %(default)s)")
    flags.add_argument("--replies", choices=[one.value for one in Observation], default=Observation.FULL.value)
    flags.add_argument("--timeout", type=float, default=600.0, help="seconds for a call (default: %(default)g)")
    flags.add_argument("--slo", default="ttft=2s,tpot=50ms", metavar="SPEC", help="(default: %(default)s)")
    flags.add_argument("--json", type=Path, metavar="FILE", help="write the report and all calls there")
    flags.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots there")
    return flags


if __name__ == "__main__":
    sys.exit(main())

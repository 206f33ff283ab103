"""Flags that say what is sent, with the names that `epp simulate` has for them, and the workload that they mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from epp.workloads.files import load_workload
from epp.workloads.generators import GENERATORS, generated
from epp.workloads.types import Workload

__all__ = ["add_source_flags", "workload_of_flags"]


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """`--trace`, `--workload`, `--rate`, `--first`, `--seed`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--trace", type=Path, metavar="FILE", help="requests to replay; the format is found out")
    what.add_argument(
        "--workload", metavar="SPEC", help=f"requests to make up: NAME or NAME:key=value,...; {', '.join(GENERATORS)}"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="times as many arrivals per second (default: 1)")
    parser.add_argument("--first", type=int, metavar="N", help="only so many calls")
    parser.add_argument("--seed", type=int, default=1, help="of a made-up workload (default: 1)")


def workload_of_flags(options: argparse.Namespace) -> Workload:
    """The workload. Raises ValueError (WorkloadError is one) with a message for whoever typed the flags."""
    first: int | None = options.first
    if first is not None and first < 1:
        raise ValueError(f"--first is {first}; it must be at least 1")
    trace: Path | None = options.trace
    workload = generated(options.workload, options.seed) if trace is None else load_workload(trace, most=first)
    return (workload if first is None else workload.first(first)).at_rate(options.rate)

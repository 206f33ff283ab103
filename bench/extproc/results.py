"""What one run of the benchmark found, and where it was."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import grpc

import epp
from bench.extproc.comparison import Comparison
from bench.extproc.crowd import Crowd
from bench.extproc.memory import IndexSize, Soak
from bench.extproc.overload import Overload
from bench.extproc.parts import Parts
from bench.extproc.scraping import Scraping

__all__ = ["Machine", "Results", "as_json", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it ran. Numbers of different machines cannot be compared."""

    at: str
    cpu: str
    cores: int
    load_before: float
    """Others' processes that wanted to run, the minute before: above 0.2 the numbers are not of a quiet machine."""
    python: str
    grpcio: str
    epp: str


@dataclass(slots=True)
class Results:
    """Findings. None and empty: not measured in this run."""

    machine: Machine
    requests: Comparison | None = None
    """Bursts of prompts of all sizes, whole and in frames."""
    paced_requests: Comparison | None = None
    chunks: Comparison | None = None
    paced_chunks: Comparison | None = None
    parts: list[Parts] = field(default_factory=list)
    scraping: Scraping | None = None
    crowds: list[Crowd] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)
    soak: Soak | None = None
    index: IndexSize | None = None
    notes: list[str] = field(default_factory=list)
    """What could not be measured, and why."""


def this_machine() -> Machine:
    """The machine as it is now."""
    names = [line.partition(":")[2] for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return Machine(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=names[0].strip() if names else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load_before=os.getloadavg()[0],
        python=platform.python_version(),
        grpcio=grpc.__version__,
        epp=epp.__version__,
    )


def as_json(results: Results) -> str:
    """For a file. Exchanges stand there by their names: their bytes are made anew by every run."""
    found = asdict(results, dict_factory=_plain)
    for name in ("requests", "paced_requests", "chunks", "paced_chunks"):
        comparison: Comparison | None = getattr(results, name)
        if comparison:
            servers = comparison.servers
            found[name] = {
                load.name: {server: asdict(cost) for server, cost in zip(servers, costs, strict=True)}
                for load, costs in comparison.costs
            }
    return json.dumps(found, indent=1) + "\n"


def _plain(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return {name: _plain_keys(value) for name, value in pairs}


def _plain_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key.value if isinstance(key, Enum) else key: item for key, item in value.items()}
    return value


def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text()

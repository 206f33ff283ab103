"""What a validation found, and where it was: written as JSON, and read again for tables and plots."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import epp

__all__ = [
    "Calibration",
    "ClosedForm",
    "Latencies",
    "Machine",
    "Pair",
    "Results",
    "Vllm",
    "Wire",
    "as_json",
    "read_results",
    "this_machine",
]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a part ran."""

    at: str
    cpu: str
    cores: int
    load_before: float
    """Processes that wanted to run, the minute before: others', since nothing of ours had begun."""
    python: str
    epp: str


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A formula beside what the engine did."""

    name: str
    formula: str
    unit: str
    expected: float
    simulated: float
    half_width: float
    """Of the 95 % interval of the simulated mean; 0: nothing is random."""
    seeds: int

    @property
    def error(self) -> float:
        """Of the simulated mean, as a share of what was expected."""
        return self.simulated / self.expected - 1


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of all calls of a run, in seconds, one item per call that was answered, in the order of the calls."""

    ttft_s: list[float]
    tpot_s: list[float]
    """Of calls with two tokens and more."""
    e2e_s: list[float]
    prompt_tokens: int
    cached_tokens: int
    failed: int

    @property
    def hit_share(self) -> float:
        """Share of the prompt tokens that were found in caches, 0 to 1."""
        return self.cached_tokens / max(self.prompt_tokens, 1)


@dataclass(frozen=True, slots=True)
class Pair:
    """One workload, measured and simulated."""

    name: str
    measured: Latencies
    simulated: Latencies
    load: float
    """Load average at the end of the measurement, ours included."""
    late_p99_s: float
    """How much later than they were due the client sent calls."""
    again: Latencies | None = None
    """Measured a second time: how far two measurements are apart."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Simulated servers in real time beside the simulation."""

    machine: Machine
    pairs: list[Pair]
    settings: str
    """In words."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A cost model that was fitted to measurements of one server. Seconds; see `LinearCost`."""

    step_s: float
    decode_seq_s: float
    decode_context_token_s: float
    prefill_token_s: float
    prefill_attention_s: float
    arrival_s: float
    measurements: int
    median_error: float
    """Median of the absolute relative errors over the measurements."""
    worst_error: float


@dataclass(frozen=True, slots=True)
class Vllm:
    """A real vLLM on CPU beside the simulation with the cost model that was made of other runs."""

    machine: Machine
    version: str
    calibration: Calibration
    pairs: list[Pair]
    drift: float
    """How much longer the calibration's measurements took when they were repeated at the end; a share, median."""


@dataclass(slots=True)
class Results:
    """Findings; None and empty: not measured."""

    closed_forms: list[ClosedForm] = field(default_factory=list)
    wire: Wire | None = None
    vllm: Vllm | None = None


def this_machine() -> Machine:
    """The machine as it is now."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=names[0] if names else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load_before=os.getloadavg()[0],
        python=platform.python_version(),
        epp=epp.__version__,
    )


def as_json(results: Results) -> bytes:
    """For a file."""
    return msgspec.json.format(msgspec.json.encode(results), indent=0)


def read_results(path: Path) -> Results:
    """What a file holds; nothing when there is none. Raises msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()

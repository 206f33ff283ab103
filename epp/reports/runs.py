"""What a run leaves behind: one configuration on one workload with one seed, simulated or on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

__all__ = ["CallResults", "Failure", "PodInfo", "PodTimeline", "Run"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Failure(Enum):
    """How a call can fail; the value is its name in reports."""

    NONE = ""
    REFUSED = "refused"
    """The picker had no endpoint for it."""
    BUSY = "busy"
    """The server had no room for it."""
    LOST = "lost"
    """The server died while it worked on it, or the connection broke."""
    CONNECT = "connect"
    TIMEOUT = "timeout"
    STATUS = "status"
    """Another status than success."""
    BROKEN = "broken"
    """The reply was cut off or made no sense."""
    UNFINISHED = "unfinished"
    """The run ended before it."""


@dataclass(frozen=True, slots=True)
class CallResults:
    """What became of each call; arrays (n,) in the workload's order. NaN or -1 where something does not apply.

    Times are seconds from the run's begin. Latencies count from `due_s`, the moment when the call should have been
    sent, so that a client that comes late hides nothing (coordinated omission).
    """

    session: Integers
    """-1: the call stands alone."""
    due_s: Floats
    """A call of a session is due when its pause after the last answer is over."""
    pod: Integers
    """Index of the pod that served; -1: none, or not known."""
    prompt_tokens: Integers
    output_tokens: Integers
    """Tokens that were generated."""
    cached_tokens: Integers
    """Prompt tokens that the server found in its cache; -1: not told."""
    reusable_tokens: Integers
    """Prompt tokens that a cache without bounds, shared by all pods, would have held."""
    ttft_s: Floats
    """Time to the first token; of replies that do not stream, to the end."""
    e2e_s: Floats
    predicted_cached_tokens: Floats
    """What the picker expected to find; NaN: not known."""
    predicted_ttft_s: Floats
    failure: NDArray[np.object_]
    """`Failure` of each call."""

    def __len__(self) -> int:
        return len(self.due_s)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which calls were answered."""
        return np.fromiter((failure is Failure.NONE for failure in self.failure), np.bool_, len(self))

    @property
    def tpot_s(self) -> Floats:
        """Time per output token after the first; NaN for answers of less than two tokens."""
        with np.errstate(divide="ignore", invalid="ignore"):
            tpot = (self.e2e_s - self.ttft_s) / (self.output_tokens - 1)
        return np.where(self.output_tokens > 1, tpot, np.nan)


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod of the run."""

    name: str
    hardware: str = ""
    price_per_hour: float = 0.0
    """US dollars; 0: not known."""
    speed: float = 1.0
    """Times as fast as its hardware profile says."""


@dataclass(frozen=True, slots=True)
class PodTimeline:
    """State of the pods over time; arrays (times, pods)."""

    at_s: Floats
    """(times,)"""
    running: Floats
    waiting: Floats
    kv_usage: Floats
    """Share of the KV cache in use, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run and its results."""

    policy: str
    """Name of the configuration."""
    workload: str
    condition: str
    """What was special about the pool; empty: nothing."""
    seed: int
    pods: Sequence[PodInfo]
    calls: CallResults
    duration_s: float
    """From the first arrival to the last end."""
    busy_s: Sequence[float] = ()
    """Time in which each pod computed; empty: not known."""
    timeline: PodTimeline | None = None
    counters: dict[str, float] = field(default_factory=dict)
    """What else was counted, by name: `preemptions`, `adapter_loads`, `picker_cpu_s`, `picker_rss_bytes`."""

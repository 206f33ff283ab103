"""What goes into an engine and what comes out: requests, results of steps, metrics; and a sequence while it lives."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from epp.simulator.blocks import BlockHashes, Held

__all__ = [
    "Counters",
    "EngineMetrics",
    "Finish",
    "Finished",
    "FirstToken",
    "Gauges",
    "Histogram",
    "LabelSet",
    "LiveSequence",
    "Outlook",
    "Refusal",
    "RequestId",
    "SimRequest",
    "StepResult",
]

RequestId = NewType("RequestId", int)
"""Names a request in one engine; chosen by the driver, never reused."""


class Finish(Enum):
    """Why a sequence ended; the values are those of the label of `vllm:request_success_total`."""

    STOP = "stop"
    LENGTH = "length"


class Refusal(Enum):
    """Why an engine did not take a request."""

    BUSY = "busy"
    """As many requests as `max_queued_requests` allows are there."""
    DEAD = "dead"
    """The engine failed and was not restarted."""


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One sequence to compute. Its tokens are known only by their number and by the hashes of their blocks."""

    id: RequestId
    prompt_tokens: int
    output_tokens: int
    """0: the prompt is computed and nothing is generated (embeddings)."""
    block_hashes: BlockHashes = ()
    """Of the whole blocks of prompt and output together, in the engine's block size, each chained to the one before.
    Blocks beyond the last hash are never found again. An engine looks at about ten of them, whatever their number."""
    adapter: str = ""
    """LoRA adapter; empty: the base model."""
    finish: Finish = Finish.LENGTH
    """What ends it after `output_tokens`."""


@dataclass(frozen=True, slots=True)
class FirstToken:
    """A sequence has its first token; for one without output, its prompt is computed."""

    id: RequestId
    cached_tokens: int
    """Prompt tokens found in the prefix cache."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A sequence is complete and has left the engine."""

    id: RequestId
    finish: Finish


@dataclass(frozen=True, slots=True)
class StepResult:
    """What can be seen at the end of a step, or of a run of steps."""

    begun_at: float
    duration_s: float
    tokens: tuple[RequestId, ...]
    """Sequences that got one more token each, first tokens included. Not told at the end of a run."""
    first: tuple[FirstToken, ...]
    finished: tuple[Finished, ...]
    steps: int = 1


class Histogram:
    """Counts of observed values by upper bounds, as Prometheus has them."""

    __slots__ = ("_bucket", "_value", "bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Per bucket, not cumulative; the last one is beyond all bounds."""
        self.sum = 0.0
        self._value, self._bucket = -1.0, 0

    def observe(self, value: float) -> None:
        """Count a value of at least 0."""
        if value != self._value:  # a batch gets its tokens at one time, so equal values come in runs
            self._value, self._bucket = value, bisect_left(self.bounds, value)
        self.counts[self._bucket] += 1
        self.sum += value

    def observe_rising(self, upto: Callable[[int], float], first: int, end: int, times: int) -> None:
        """Count, `times` over, the differences `upto(n + 1) - upto(n)` for n from `first` to before `end`.

        None may be less than the one before. Costs O(log of their number) for each bucket that they reach.
        """
        if first >= end:
            return
        low = bisect_left(self.bounds, upto(first + 1) - upto(first))
        if low == bisect_left(self.bounds, upto(end) - upto(end - 1)):
            self.counts[low] += times * (end - first)
            self.sum += times * (upto(end) - upto(first))
        else:
            middle = (first + end) // 2
            self.observe_rising(upto, first, middle, times)
            self.observe_rising(upto, middle, end, times)

    def copy(self) -> Histogram:
        """One that does not change with this one."""
        other = Histogram(self.bounds)
        other.counts, other.sum = self.counts.copy(), self.sum
        return other


_TTFT_BOUNDS_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_ITL_BOUNDS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_E2E_BOUNDS_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


@dataclass(slots=True)
class Counters:
    """What an engine has counted since it started. The bounds of the histograms are those of vLLM 0.32."""

    prefix_queries_tokens: int = 0
    prefix_hits_tokens: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    generation_tokens: int = 0
    preemptions: int = 0
    busy_rejections: int = 0
    adapter_loads: int = 0
    host_hits_tokens: int = 0
    """Prompt tokens that were loaded from the host's memory. They count as cached, not as hits of the prefix cache."""
    busy_s: float = 0.0
    """Time in steps that are over."""
    finished: dict[Finish, int] = field(default_factory=lambda: dict.fromkeys(Finish, 0))
    ttft_s: Histogram = field(default_factory=lambda: Histogram(_TTFT_BOUNDS_S))
    inter_token_s: Histogram = field(default_factory=lambda: Histogram(_ITL_BOUNDS_S))
    e2e_s: Histogram = field(default_factory=lambda: Histogram(_E2E_BOUNDS_S))

    def copy(self) -> Counters:
        """One that does not change with this one."""
        return replace(
            self,
            finished=self.finished.copy(),
            ttft_s=self.ttft_s.copy(),
            inter_token_s=self.inter_token_s.copy(),
            e2e_s=self.e2e_s.copy(),
        )


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Adapters that ran together at some time, in the order in which they came."""

    adapters: tuple[str, ...]
    last_seen: float
    """Engine time."""


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """State of an engine at one moment."""

    requests: int
    """All that are here: those that run, wait, or are on their way to the queue."""
    running: int
    waiting_capacity: int
    waiting_deferred: int
    """Waiting for a LoRA slot."""
    used_blocks: int
    cached_blocks: int
    total_blocks: int
    """What can hold content: one less than `num_gpu_blocks`, as in vLLM."""
    asleep: bool
    dead: bool
    started_at: float
    """Engine time of the last start."""
    label_sets: tuple[LabelSet, ...]
    resident_adapters: tuple[str, ...]
    counters: Counters

    @property
    def waiting(self) -> int:
        """Requests in the queue for whatever reason."""
        return self.waiting_capacity + self.waiting_deferred

    @property
    def kv_usage(self) -> float:
        """Share of the blocks that sequences hold, 0 to 1."""
        return self.used_blocks / self.total_blocks


@dataclass(frozen=True, slots=True)
class Gauges:
    """What changes from step to step, as metrics show it."""

    running: int
    waiting: int
    """Requests in the queue for whatever reason."""
    kv_usage: float
    """Share of the blocks that sequences hold, 0 to 1."""
    adapters: tuple[str, ...]
    """Of the sequences that run."""
    started_at: float
    """Engine time of the last start."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an engine still has to do, which no server tells.

    Arrays have one item per request that is there, in the order of arrival; those on their way to the queue are among
    them.
    """

    prefill_tokens: NDArray[np.int64]
    """Known tokens to compute before the next one comes: what is left of a prefill, or what would be computed if the
    request were admitted now. 0 for one that decodes."""
    output_tokens: NDArray[np.int64]
    """Tokens still to come."""
    context_tokens: NDArray[np.int64]
    """Tokens in the KV cache, or found there if it were admitted now."""
    running: NDArray[np.bool_]
    """In the batch; the others wait."""


class LiveSequence:
    """A request inside the engine."""

    __slots__ = (
        "arrived_at",
        "arriving",
        "cached_tokens",
        "computed",
        "generated",
        "held",
        "known",
        "left",
        "order",
        "prefilling",
        "request",
        "running",
        "token_at",
    )

    def __init__(self, request: SimRequest, order: int, now: float) -> None:
        self.request = request
        self.order = order
        """Position in the order of arrival."""
        self.arrived_at = now
        self.arriving = True
        """Not in the queue yet."""
        self.token_at = now
        """When the last token came."""
        self.held = Held()
        """Its blocks."""
        self.computed = 0
        """Tokens whose KV entries are in its blocks."""
        self.generated = 0
        self.known = request.prompt_tokens
        """Tokens whose values are known: the prompt and what was generated."""
        self.cached_tokens: int | None = None
        """Found in the prefix cache when it was first admitted."""
        self.running = False
        self.prefilling = False
        """Admitted, and the tokens that it came with are not all computed yet."""
        self.left = False
        """Aborted or finished: whatever a step computed for it is void."""

    def __repr__(self) -> str:
        return f"<LiveSequence {self.request.id} {self.computed}/{self.known} tokens in {self.held.blocks} blocks>"

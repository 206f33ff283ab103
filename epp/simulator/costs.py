"""How long one engine step takes: seconds as a function of the work in it.

The default is fitted to a published calibration; what the source does not say is marked as an assumption. All costs
are for a speed factor of 1; the engine divides by its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COSTS",
    "DEFAULT_COST",
    "DecodeRun",
    "LinearCost",
    "LinearSeries",
    "ListedSeries",
    "MockerCost",
    "StepCost",
    "StepSeries",
    "StepWork",
]


@dataclass(frozen=True, slots=True)
class StepWork:
    """What one step computes."""

    prefill_tokens: int = 0
    """Prompt tokens, those recomputed after a preemption included; not those found in the prefix cache."""
    prefill_attention: int = 0
    """Sum over the prefill chunks of `end**2 - start**2` (tokens squared): twice the pairs that attention looks at. The
    chunks of a prompt add up to its length squared, so cutting it makes it neither cheaper nor dearer."""
    decode_seqs: int = 0
    """Sequences that decode one token."""
    decode_context_tokens: int = 0
    """Tokens that they look back at, summed."""
    kv_usage: float = 0.0
    """Share of the KV cache in use by sequences, 0 to 1."""


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """Steps that follow each other and in which the same sequences decode a token each."""

    steps: int
    computed_tokens: Sequence[int]
    """Of each sequence, when the first step begins: what it looks back at. Each step adds one."""
    used_blocks: int
    """KV blocks in use in the first step."""
    total_blocks: int
    block_size: int

    def usage(self) -> NDArray[np.float64]:
        """Share of the KV cache in use in each step. float64 (steps,), 0 to 1, never less than in the step before."""
        computed = np.asarray(self.computed_tokens)[:, None] + np.arange(self.steps)
        blocks = (computed // self.block_size).sum(axis=0)  # a step needs room for one token more, so no rounding up
        usage: NDArray[np.float64] = (self.used_blocks + blocks - blocks[0]) / self.total_blocks
        return usage


class StepSeries(Protocol):
    """How long steps take that follow each other. None is shorter than the one before."""

    def after_s(self, steps: int) -> float:
        """When that many of them are over. Seconds from the begin of the first one."""
        ...

    def over(self, seconds: float) -> int:
        """How many are over that long after the begin of the first one. May be more than there are."""
        ...


@dataclass(frozen=True, slots=True)
class LinearSeries:
    """Each step takes `growth_s` longer than the one before."""

    first_s: float
    """At least `growth_s`: a sequence that decodes has a token to look back at."""
    growth_s: float

    def after_s(self, steps: int) -> float:
        """See StepSeries."""
        return steps * (self.first_s + 0.5 * self.growth_s * (steps - 1))

    def over(self, seconds: float) -> int:
        """See StepSeries."""
        if seconds <= 0:
            return 0
        linear = self.first_s - 0.5 * self.growth_s
        # The root of the sum, in the form that loses no digits and allows for no growth at all.
        steps = int(2.0 * seconds / (linear + sqrt(linear * linear + 2.0 * self.growth_s * seconds)))
        while self.after_s(steps + 1) <= seconds:
            steps += 1
        while steps and self.after_s(steps) > seconds:
            steps -= 1
        return steps


@dataclass(frozen=True, slots=True)
class ListedSeries:
    """Steps without a formula."""

    ends_s: NDArray[np.float64]
    """When each is over. float64 (steps,), seconds from the begin of the first one."""

    def after_s(self, steps: int) -> float:
        """See StepSeries."""
        return float(self.ends_s[steps - 1]) if steps else 0.0

    def over(self, seconds: float) -> int:
        """See StepSeries."""
        return int(np.searchsorted(self.ends_s, seconds, side="right"))


class StepCost(Protocol):
    """How long things take on an engine of speed 1."""

    @property
    def arrival_s(self) -> float:
        """Between a request's arrival and the first step that can take it: HTTP, tokenisation, hand-over."""
        ...

    def seconds(self, work: StepWork) -> float:
        """Duration of a step. More than 0 for any work."""
        ...

    def decode(self, run: DecodeRun) -> StepSeries:
        """Durations of steps that only decode: those that `seconds` gives for each of them."""
        ...


@dataclass(frozen=True, slots=True)
class LinearCost:
    """A sum of costs per step, per sequence and per token.

    The defaults are the calibration of vLLM router's program scheduling (vllm-project/router,
    docs/program_scheduling.md; model and GPU are not named there):

        decode step  s = 0.010635 + 0.000419 * sequences + 1.42e-7 * context tokens
        cold prefill s = 0.066 + 0.0570 * k + 0.00441 * k**2        k = 1,000 prompt tokens

    Assumptions that join the two in one step: the weights are read once (`step_s`) whatever is in the step, and the
    rest of the 0.066 s passes before the engine sees the request, so that it delays nobody else.
    """

    step_s: float = 0.010635
    decode_seq_s: float = 0.000419
    decode_context_token_s: float = 1.42e-7
    prefill_token_s: float = 5.70e-5
    prefill_attention_s: float = 4.41e-9
    """Per token squared."""
    arrival_s: float = 0.066 - 0.010635

    def seconds(self, work: StepWork) -> float:
        """See the class."""
        return (
            self.step_s
            + self.decode_seq_s * work.decode_seqs
            + self.decode_context_token_s * work.decode_context_tokens
            + self.prefill_token_s * work.prefill_tokens
            + self.prefill_attention_s * work.prefill_attention
        )

    def decode(self, run: DecodeRun) -> LinearSeries:
        """See StepCost."""
        seqs, context = len(run.computed_tokens), sum(run.computed_tokens)
        first_s = self.step_s + self.decode_seq_s * seqs + self.decode_context_token_s * context
        return LinearSeries(first_s, self.decode_context_token_s * seqs)


@dataclass(frozen=True, slots=True)
class MockerCost:
    """The polynomials of Dynamo's mock engine (ai-dynamo/dynamo, lib/mocker; hardware not named there).

        prefill ms = 4.209989e-7 * t**2 + 1.518344e-2 * t + 16.50142        t = new prompt tokens; 0 without any
        decode ms  = max(1, -25.74 * u**2 + 54.01 * u + 5.74)               u = KV tokens in use / capacity

    Assumption: a step that does both takes the sum.
    """

    arrival_s: float = 0.0

    def seconds(self, work: StepWork) -> float:
        """See the class."""
        tokens, usage = work.prefill_tokens, work.kv_usage
        prefill_ms = 4.209989e-7 * tokens**2 + 1.518344e-2 * tokens + 16.50142 if tokens else 0.0
        decode_ms = max(1.0, -25.74 * usage**2 + 54.01 * usage + 5.74) if work.decode_seqs else 0.0
        return (prefill_ms + decode_ms) / 1000.0

    def decode(self, run: DecodeRun) -> ListedSeries:
        """See StepCost. The polynomial rises up to a usage of 1.05."""
        usage = run.usage()
        decode_ms = np.maximum(1.0, -25.74 * usage**2 + 54.01 * usage + 5.74)
        return ListedSeries(np.cumsum(decode_ms / 1000.0))


DEFAULT_COST = "program-scheduling"

COSTS: Mapping[str, StepCost] = MappingProxyType({DEFAULT_COST: LinearCost(), "dynamo-mocker": MockerCost()})
"""Presets by name."""

"""Calls that stand alone: a system prompt that many share, then a user's prompt that nobody else has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from epp.workloads.errors import WorkloadError
from epp.workloads.generators.arrivals import Times, bursts, poisson, sinusoid
from epp.workloads.generators.draws import Draws
from epp.workloads.generators.parameters import Parameters
from epp.workloads.types import Api, Call, Role, Workload

__all__ = ["Bursts", "Diurnal", "Embeddings", "Independent", "LoraFleet", "Outliers", "SharedPrompt", "Tenants"]


@dataclass(frozen=True, slots=True)
class Independent(Parameters):
    """Prompts that share nothing: a cache finds nothing, so only load matters. The control."""

    prompt_tokens: float = 2000.0
    output_tokens: float = 200.0
    spread: float = 0.8
    """Standard deviation of the logarithm of lengths."""

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        times = poisson(rng, self.rate_per_s, self.calls)
        prompts = draws.segments(self.calls, self.prompt_tokens, self.spread)
        outputs = draws.segments(self.calls, self.output_tokens, self.spread, Role.ASSISTANT)
        calls = zip(times.tolist(), prompts, outputs, strict=True)
        return Workload("independent", tuple(Call(at, (prompt,), output) for at, prompt, output in calls))


@dataclass(frozen=True, slots=True)
class Tenants(Parameters):
    """Many tenants, each with a system prompt of its own, of which some are much busier than others."""

    tenants: int = 50
    """Number of system prompts."""
    popularity: float = 1.0
    """Exponent of Zipf's law by which tenants call; 0: all alike."""
    system_tokens: float = 3000.0
    """Of a system prompt."""
    system_spread: float = 0.3
    """Standard deviation of the logarithm of these lengths."""
    prompt_tokens: float = 400.0
    """Of what comes after it."""
    output_tokens: float = 200.0
    spread: float = 0.8
    """Standard deviation of the logarithm of the other lengths."""

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        times = poisson(rng, self.rate_per_s, self.calls)
        return Workload("tenants", tuple(_calls(self, draws, times, self._choices(draws))))

    def _choices(self, draws: Draws) -> NDArray[np.int64]:
        """The tenant of each call."""
        return draws.popular(self.calls, self.tenants, self.popularity)


@dataclass(frozen=True, slots=True)
class SharedPrompt(Tenants):
    """One system prompt for all: every prompt begins alike, so who follows the longest prefix overloads one pod."""

    tenants: int = 1
    system_spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Bursts(Tenants):
    """Tenants whose load jumps up for a few seconds, again and again. `rate_per_s` is that between bursts."""

    factor: float = 10.0
    """How many times as many calls come during a burst."""
    burst_s: float = 3.0
    every_s: float = 45.0
    """From burst to burst; a burst stands at the end."""
    one_tenant: bool = False
    """All calls of a burst are one tenant's, as when a batch job starts."""

    def generate(self, rng: Generator) -> Workload:
        """See the class. Raises WorkloadError for bursts that are longer than the time between them."""
        if self.burst_s >= self.every_s:
            raise WorkloadError(f"burst_s is {self.burst_s}; it must be less than every_s, which is {self.every_s}")
        draws = Draws(rng)
        times = bursts(rng, self.rate_per_s, self.factor, self.burst_s, self.every_s, self.calls)
        tenants = self._choices(draws)
        if self.one_tenant:
            burst, within_s = np.divmod(times, self.every_s)
            numbers = burst.astype(np.int64)
            hot = self._choices(draws)[numbers % self.calls]
            tenants = np.where(within_s >= self.every_s - self.burst_s, hot, tenants)
        return Workload("bursts", tuple(_calls(self, draws, times, tenants)))


@dataclass(frozen=True, slots=True)
class Diurnal(Tenants):
    """Tenants whose load swings like day and night, in a compressed day that begins at night."""

    swing: float = 0.8
    """From 1 - swing to 1 + swing times `rate_per_s`."""
    day_s: float = 240.0

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        times = sinusoid(rng, self.rate_per_s, self.swing, self.day_s, self.calls)
        return Workload("diurnal", tuple(_calls(self, draws, times, self._choices(draws))))


@dataclass(frozen=True, slots=True)
class LoraFleet(Tenants):
    """Tenants with LoRA adapters of their own, named `adapter-000` and so on, by falling popularity."""

    tenants: int = 100
    """Number of adapters, each with its system prompt."""
    system_tokens: float = 800.0

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        tenants = self._choices(draws)
        calls = _calls(self, draws, poisson(rng, self.rate_per_s, self.calls), tenants)
        adapted = (
            replace(call, adapter=f"adapter-{tenant:03d}") for call, tenant in zip(calls, tenants.tolist(), strict=True)
        )
        return Workload("lora", tuple(adapted))


@dataclass(frozen=True, slots=True)
class Outliers(Tenants):
    """Tenants with short prompts, and among them a few very long ones that fill a pod for many seconds."""

    outlier_share: float = 0.02
    """Of all calls."""
    least_tokens: int = 60_000
    """Of an outlier; any length up to `most_tokens` is as likely."""
    most_tokens: int = 120_000
    system_tokens: float = 1000.0

    def generate(self, rng: Generator) -> Workload:
        """See the class. Raises WorkloadError when `least_tokens` is more than `most_tokens`."""
        if self.least_tokens > self.most_tokens:
            raise WorkloadError(f"least_tokens is {self.least_tokens}, more than most_tokens ({self.most_tokens})")
        draws = Draws(rng)
        calls = _calls(self, draws, poisson(rng, self.rate_per_s, self.calls), self._choices(draws))
        for place in np.flatnonzero(rng.random(self.calls) < self.outlier_share).tolist():
            tokens = int(rng.integers(self.least_tokens, self.most_tokens, endpoint=True))
            calls[place] = replace(calls[place], prompt=(draws.segment(tokens),))
        return Workload("outliers", tuple(calls))


@dataclass(frozen=True, slots=True)
class Embeddings(Tenants):
    """Tenants that chat, and between their calls texts to embed: short prefills that nobody waits behind for long."""

    embeddings_share: float = 0.5
    """Of all calls."""
    embedded_tokens: float = 500.0
    """Of a text to embed."""

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        calls = _calls(self, draws, poisson(rng, self.rate_per_s, self.calls), self._choices(draws))
        places = np.flatnonzero(rng.random(self.calls) < self.embeddings_share).tolist()
        texts = draws.segments(len(places), self.embedded_tokens, self.spread)
        for place, text in zip(places, texts, strict=True):
            output = draws.segment(1, Role.ASSISTANT)
            calls[place] = Call(calls[place].at_s, (text,), output, api=Api.EMBEDDINGS, stream=False)
        return Workload("embeddings", tuple(calls))


def _calls(params: Tenants, draws: Draws, times: Times, tenants: NDArray[np.int64]) -> list[Call]:
    """A call at each time, of each tenant."""
    systems = draws.segments(params.tenants, params.system_tokens, params.system_spread, Role.SYSTEM)
    prompts = draws.segments(len(times), params.prompt_tokens, params.spread)
    outputs = draws.segments(len(times), params.output_tokens, params.spread, Role.ASSISTANT)
    return [
        Call(at, (systems[tenant], prompt), output)
        for at, tenant, prompt, output in zip(times.tolist(), tenants.tolist(), prompts, outputs, strict=True)
    ]

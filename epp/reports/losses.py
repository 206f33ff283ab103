"""Where a policy loses: each call against the same call under another policy, the reference.

Runs with one workload, condition and seed meet the same calls, in the same order. What a call waited longer for its
first token than under the reference is *lost*; it is negative where the policy won.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epp.reports.runs import CallResults, Run

__all__ = ["WORST", "Bins", "Losses", "WorstCall", "compute_rate", "losses", "turns"]

WORST = 10
"""Calls that are listed."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bins:
    """Lost time by one property of the calls."""

    name: str
    labels: tuple[str, ...]
    lost_s: tuple[float, ...]
    """Sum over the calls of each bin and over seeds."""
    calls: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorstCall:
    """One call that lost much, with what may explain it."""

    seed: int
    number: int
    """In the workload's order, from 0."""
    due_s: float
    turn: int
    prompt_tokens: int
    pod: str
    uncached_tokens: int
    """Prompt tokens that its server computed."""
    wait_s: float
    """Of its time to the first token, what computing these tokens does not explain; see `compute_rate`."""
    ttft_s: float
    reference_pod: str
    reference_uncached_tokens: int
    reference_ttft_s: float
    reason: str
    """`waiting` or `computing`: which of the two grew more against the reference."""


@dataclass(frozen=True, slots=True)
class Losses:
    """One policy against the reference, over the seeds that both have."""

    policy: str
    lost_s: float
    calls: int
    """Answered under both."""
    failed_here: int
    """Failed under this policy, answered under the reference."""
    bins: tuple[Bins, ...]
    worst: tuple[WorstCall, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A run and the reference's run with its seed."""

    run: Run
    other: Run

    @property
    def both(self) -> NDArray[np.bool_]:
        known = np.isfinite(self.run.calls.ttft_s) & np.isfinite(self.other.calls.ttft_s)
        return known & self.run.calls.ok & self.other.calls.ok

    @property
    def lost_s(self) -> Floats:
        """NaN for calls that were not answered under both."""
        lost: Floats = np.where(self.both, self.run.calls.ttft_s - self.other.calls.ttft_s, np.nan)
        return lost


def losses(runs: Sequence[Run], reference: str) -> list[Losses]:
    """Every other policy against the reference, on one workload and condition; the one that lost most comes first.

    Seeds whose runs have other numbers of calls, as when a client was stopped, cannot be paired and are left out.
    """
    others = {run.seed: run for run in runs if run.policy == reference}
    pairs: dict[str, list[_Pair]] = {}
    for run in runs:
        other = others.get(run.seed)
        if run.policy != reference and other is not None and len(run.calls) == len(other.calls):
            pairs.setdefault(run.policy, []).append(_Pair(run, other))
    properties = _properties(list(others.values()))
    rate = compute_rate(runs)
    found = [_losses(policy, paired, properties, rate) for policy, paired in pairs.items()]
    return sorted(found, key=lambda one: -one.lost_s)


def turns(session: Integers) -> Integers:
    """Which call of its session each is, from 1; calls that stand alone are first ones."""
    order = np.argsort(session, kind="stable")
    ordered = session[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1)) if len(ordered) else order
    counted = np.arange(len(ordered)) - np.repeat(begins, np.diff(begins, append=len(ordered))) + 1
    result = np.ones(len(session), np.int64)
    result[order] = counted
    result[session < 0] = 1
    return result


def compute_rate(runs: Sequence[Run]) -> float:
    """Seconds per prompt token that a server computes, guessed from the calls that waited least; 0: not known.

    The 5th percentile of time to the first token over uncached tokens, over calls with at least the median of uncached
    tokens: for short ones the time is not about tokens.
    """
    uncached = _joined(_uncached(run.calls)[run.calls.ok] for run in runs)
    ttft = _joined(run.calls.ttft_s[run.calls.ok] for run in runs)
    usable = (uncached > 0) & np.isfinite(ttft)
    usable &= uncached >= (np.median(uncached[usable]) if usable.any() else 0)
    return float(np.quantile(ttft[usable] / uncached[usable], 0.05)) if usable.any() else 0.0


def _joined(columns: Iterable[NDArray[np.generic]]) -> Floats:
    return np.concatenate([np.zeros(0), *columns])


def _uncached(calls: CallResults) -> Integers:
    return calls.prompt_tokens - np.maximum(calls.cached_tokens, 0)


@dataclass(frozen=True, slots=True)
class _Property:
    """A property of calls, cut into bins; a call of value v is in bin `searchsorted(edges, v, 'right')`."""

    name: str
    edges: Floats
    labels: tuple[str, ...]

    def values(self, calls: CallResults) -> Floats:
        match self.name:
            case "prompt tokens":
                return calls.prompt_tokens.astype(np.float64)
            case "reusable share of the prompt":
                return np.maximum(calls.reusable_tokens, 0) / np.maximum(calls.prompt_tokens, 1)
            case "turn of the session":
                return turns(calls.session).astype(np.float64)
            case _:
                return calls.due_s


def _properties(references: Sequence[Run]) -> list[_Property]:
    """Bins are cut by the reference's calls, so that all policies have the same."""
    if not references:
        return []
    prompts = np.concatenate([run.calls.prompt_tokens for run in references]).astype(np.float64)
    ends = [float(run.calls.due_s.max()) for run in references if len(run.calls)]
    cuts = np.unique(np.round(np.quantile(prompts, (0.2, 0.4, 0.6, 0.8)))) if prompts.size else np.zeros(0)
    times = np.linspace(0, max(ends, default=0.0), 6)[1:-1]
    shares = ("under 25 %", "25 to 50 %", "50 to 75 %", "75 to 95 %", "95 % and more")
    return [
        _Property("prompt tokens", cuts, _ranges(cuts, "")),
        _Property("reusable share of the prompt", np.array((0.25, 0.5, 0.75, 0.95)), shares),
        _Property("time in the run", times, _ranges(times, " s")),
        _Property("turn of the session", np.array((2.0, 3.0, 6.0, 11.0)), ("1", "2", "3 to 5", "6 to 10", "11 and on")),
    ]


def _ranges(edges: Floats, unit: str) -> tuple[str, ...]:
    if not edges.size:
        return ("all",)
    between = (f"{low:,.0f} to {high:,.0f}{unit}" for low, high in pairwise(edges))
    return (f"under {edges[0]:,.0f}{unit}", *between, f"{edges[-1]:,.0f}{unit} and more")


def _losses(policy: str, pairs: Sequence[_Pair], properties: Sequence[_Property], rate: float) -> Losses:
    lost = np.concatenate([pair.lost_s for pair in pairs])
    failed = sum(int((~pair.run.calls.ok & pair.other.calls.ok).sum()) for pair in pairs)
    bins = tuple(_binned(one, pairs, lost) for one in properties)
    return Losses(
        policy, float(np.nansum(lost)), int(np.isfinite(lost).sum()), failed, bins, tuple(_worst(pairs, rate))
    )


def _binned(one: _Property, pairs: Sequence[_Pair], lost: Floats) -> Bins:
    values = np.concatenate([one.values(pair.other.calls) for pair in pairs])
    known = np.isfinite(lost)
    place = np.searchsorted(one.edges, values[known], "right")
    count = len(one.labels)
    seconds = np.bincount(place, weights=lost[known], minlength=count)
    return Bins(one.name, one.labels, tuple(seconds.tolist()), tuple(np.bincount(place, minlength=count).tolist()))


def _worst(pairs: Sequence[_Pair], rate: float) -> Iterator[WorstCall]:
    candidates = []
    for pair in pairs:
        lost = np.nan_to_num(pair.lost_s, nan=-np.inf)
        candidates += [(float(lost[number]), pair, int(number)) for number in np.argsort(-lost, kind="stable")[:WORST]]
    candidates.sort(key=lambda one: -one[0])
    for lost_s, pair, number in candidates[:WORST]:
        if lost_s > 0:
            yield _worst_call(pair, number, rate)


def _worst_call(pair: _Pair, number: int, rate: float) -> WorstCall:
    calls, others = pair.run.calls, pair.other.calls
    uncached, other_uncached = int(_uncached(calls)[number]), int(_uncached(others)[number])
    ttft, other_ttft = float(calls.ttft_s[number]), float(others.ttft_s[number])
    more_computing = (uncached - other_uncached) * rate
    return WorstCall(
        seed=pair.run.seed,
        number=number,
        due_s=float(calls.due_s[number]),
        turn=int(turns(calls.session)[number]),
        prompt_tokens=int(calls.prompt_tokens[number]),
        pod=_pod(pair.run, number),
        uncached_tokens=uncached,
        wait_s=max(0.0, ttft - uncached * rate),
        ttft_s=ttft,
        reference_pod=_pod(pair.other, number),
        reference_uncached_tokens=other_uncached,
        reference_ttft_s=other_ttft,
        reason="computing" if more_computing > (ttft - other_ttft) / 2 else "waiting",
    )


def _pod(run: Run, number: int) -> str:
    index = int(run.calls.pod[number])
    return run.pods[index].name if 0 <= index < len(run.pods) else ""

"""Runs made by hand, and runs that look like a simulation's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from epp.reports import CallResults, Failure, PodInfo, PodTimeline, Run

__all__ = ["calls_of", "plausible_run", "run_of", "seeds_of"]


def calls_of(n: int, **columns: Any) -> CallResults:
    """Calls with neutral columns, but for those that are given: a value for all of them, or one for each."""
    defaults: dict[str, tuple[Any, Any]] = {
        "session": (-1, np.int64),
        "due_s": (np.arange(n), np.float64),
        "pod": (0, np.int64),
        "prompt_tokens": (100, np.int64),
        "output_tokens": (11, np.int64),
        "cached_tokens": (-1, np.int64),
        "reusable_tokens": (-1, np.int64),
        "ttft_s": (1.0, np.float64),
        "e2e_s": (2.0, np.float64),
        "predicted_cached_tokens": (np.nan, np.float64),
        "predicted_ttft_s": (np.nan, np.float64),
        "failure": (Failure.NONE, np.object_),
    }
    assert columns.keys() <= defaults.keys()
    arrays = {
        name: np.broadcast_to(np.asarray(columns.get(name, value), dtype), n).copy()
        for name, (value, dtype) in defaults.items()
    }
    return CallResults(**arrays)


def run_of(calls: CallResults, **settings: Any) -> Run:
    """A run of a minute on two pods, but for what is given."""
    values: dict[str, Any] = {
        "policy": "ours",
        "workload": "chat",
        "condition": "",
        "seed": 1,
        "pods": (PodInfo("a", "h100", 3.0), PodInfo("b", "h100", 3.0)),
        "duration_s": 60.0,
    }
    return Run(calls=calls, **(values | settings))


def plausible_run(
    policy: str, seed: int, *, slowness: float = 1.0, calls: int = 200, pods: int = 4, **settings: Any
) -> Run:
    """Sessions that grow, arrivals by seed, times by policy: a slower policy waits longer and hits less."""
    world, chance = np.random.default_rng(seed), np.random.default_rng((seed, *policy.encode()))
    due = np.sort(world.uniform(0, 600, calls))
    session = world.integers(0, max(calls // 5, 1), calls)
    prompt = world.integers(500, 12_000, calls)
    reusable = (prompt * world.uniform(0, 1, calls)).astype(np.int64)
    cached = (reusable * chance.uniform(0.5, 1, calls) / slowness).astype(np.int64)
    wait = chance.exponential(0.3 * slowness, calls)
    ttft = (prompt - cached) * 1e-4 + wait
    output = world.integers(1, 400, calls)
    failure = np.full(calls, Failure.NONE, np.object_)
    failure[chance.uniform(size=calls) < 0.01] = Failure.BUSY
    return run_of(
        calls_of(
            calls,
            session=session,
            due_s=due,
            pod=chance.integers(0, pods, calls),
            prompt_tokens=prompt,
            output_tokens=output,
            cached_tokens=cached,
            reusable_tokens=reusable,
            ttft_s=ttft,
            e2e_s=ttft + output * chance.uniform(0.01, 0.03, calls),
            predicted_cached_tokens=cached * chance.uniform(0.8, 1.2, calls),
            predicted_ttft_s=ttft * chance.lognormal(0, 0.5, calls),
            failure=failure,
        ),
        policy=policy,
        seed=seed,
        pods=tuple(PodInfo(f"pod-{index}", "h100", 2.5) for index in range(pods)),
        duration_s=620.0,
        busy_s=tuple(chance.uniform(200, 600, pods)),
        timeline=_timeline(chance, slowness, pods),
        counters={"preemptions": float(chance.integers(0, 20))},
        **settings,
    )


def _timeline(chance: np.random.Generator, slowness: float, pods: int) -> PodTimeline:
    at = np.arange(0.0, 620.0, 1.0)
    waves = 1 + np.sin(at[:, None] / 60 + chance.uniform(0, 6, pods))
    return PodTimeline(
        at_s=at,
        running=np.round(waves * 8),
        waiting=np.round(np.maximum(waves - 1.5, 0) * 10 * slowness),
        kv_usage=np.clip(waves / 2, 0, 1),
    )


def seeds_of(policies: Sequence[str], seeds: int, **settings: Any) -> list[Run]:
    """Plausible runs of some policies, each slower than the one before."""
    return [
        plausible_run(policy, seed, slowness=1 + 0.3 * place, **settings)
        for seed in range(seeds)
        for place, policy in enumerate(policies)
    ]

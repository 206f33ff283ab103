"""Writes down what becomes of each call of a run, and now and then the state of the pods."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from epp.reports import CallResults, Failure, PodInfo, PodTimeline, Run
from epp.simulator.engine import Engine
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.replica import Picked
from epp.simulator.scenario import Scenario
from epp.simulator.sequences import Gauges

__all__ = ["Recorder"]

_SAMPLES = 240
"""Looks at the pods during the known part of a run. Of twice as many, every other one is dropped."""

_SHORTEST_SAMPLE_S = 0.5

Floats = NDArray[np.float64]


class Recorder:
    """The results of one run while they come. Lists: single values are written to them faster than to arrays."""

    def __init__(self, prepared: PreparedWorkload, scenario: Scenario, seed: int, policy: str) -> None:
        size = len(prepared.calls)
        self._prepared, self._scenario, self._seed, self._policy = prepared, scenario, seed, policy
        self._due_s, self._ttft_s, self._e2e_s = ([float("nan")] * size for _ in range(3))
        self._predicted_cached, self._predicted_ttft_s = ([float("nan")] * size for _ in range(2))
        self._pod, self.cached_tokens = ([-1] * size for _ in range(2))
        self._failure = [Failure.UNFINISHED] * size
        self._ended_at = 0.0
        self._times: list[float] = []
        self._samples: list[Floats] = []
        """Each (pods, 3): running, waiting, share of the KV cache."""
        self.sample_every_s = max(_SHORTEST_SAMPLE_S, prepared.workload.duration_s / _SAMPLES)
        """Seconds to the next look at the pods. Grows with the run."""

    def due(self, index: int, now: float) -> None:
        """A call arrives."""
        self._due_s[index] = now

    def picked(self, index: int, picked: Picked) -> None:
        """A picker placed it."""
        self._pod[index] = picked.pod
        self._predicted_cached[index] = picked.cached_tokens
        self._predicted_ttft_s[index] = picked.ttft_s

    def first_token(self, index: int, now: float, cached_tokens: int) -> None:
        """Its first token came."""
        self._ttft_s[index] = now - self._due_s[index]
        self.cached_tokens[index] = cached_tokens

    def over(self, index: int, now: float, failure: Failure) -> None:
        """It has ended."""
        self._failure[index] = failure
        self._ended_at = now
        if failure is Failure.NONE:
            self._e2e_s[index] = now - self._due_s[index]
            if not self._prepared.calls[index].stream:
                self._ttft_s[index] = self._e2e_s[index]

    def sample(self, now: float, gauges: Sequence[Gauges]) -> None:
        """The state of all pods."""
        if len(self._times) == 2 * _SAMPLES:
            del self._times[1::2], self._samples[1::2]
            self.sample_every_s *= 2
        self._times.append(now)
        self._samples.append(np.array([(one.running, one.waiting, one.kv_usage) for one in gauges], np.float64))

    def run(self, engines: Sequence[Engine], now: float) -> Run:
        """All of it, when the run is over. `now`: for what has not ended."""
        begin = min((due for due in self._due_s if not isnan(due)), default=0.0)
        end = now if Failure.UNFINISHED in self._failure else self._ended_at
        pods = [PodInfo(pod.name, pod.hardware, pod.price_per_hour, pod.speed) for pod in self._scenario.pods]
        counters = [engine.counters(now) for engine in engines]
        return Run(
            policy=self._policy,
            workload=self._prepared.workload.name,
            condition=self._scenario.name,
            seed=self._seed,
            pods=pods,
            calls=self._results(),
            duration_s=max(end - begin, 1e-9),
            busy_s=[one.busy_s for one in counters],
            timeline=self._timeline(),
            counters={
                "preemptions": float(sum(one.preemptions for one in counters)),
                "adapter_loads": float(sum(one.adapter_loads for one in counters)),
            },
        )

    def _results(self) -> CallResults:
        calls = self._prepared.calls
        answered = [failure is Failure.NONE for failure in self._failure]
        return CallResults(
            session=np.array([-1 if call.session is None else call.session for call in calls], np.int64),
            due_s=np.array(self._due_s),
            pod=np.array(self._pod, np.int64),
            prompt_tokens=np.array(self._prepared.prompt_tokens, np.int64),
            output_tokens=np.array(
                [call.output_tokens if ok else 0 for call, ok in zip(calls, answered, strict=True)], np.int64
            ),
            cached_tokens=np.array(self.cached_tokens, np.int64),
            reusable_tokens=self._prepared.reusable_tokens,
            ttft_s=np.array(self._ttft_s),
            e2e_s=np.array(self._e2e_s),
            predicted_cached_tokens=np.array(self._predicted_cached),
            predicted_ttft_s=np.array(self._predicted_ttft_s),
            failure=np.array(self._failure, object),
        )

    def _timeline(self) -> PodTimeline:
        samples = np.array(self._samples, np.float64).reshape(len(self._times), len(self._scenario.pods), 3)
        return PodTimeline(np.array(self._times), samples[:, :, 0], samples[:, :, 1], samples[:, :, 2])

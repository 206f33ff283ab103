"""A pool in virtual time: calls arrive, pickers place them, engines compute, and pickers hear of it late.

Events wait in one heap, by their time and then by their order of birth; each has a method that makes what happens
happen. Nothing is random but what the seed says, so one seed gives one run. Engines are those of `epp sim-server`, the
pickers' routers those of `epp serve`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count

import numpy as np

from epp.endpoints import Scrape
from epp.reports import Failure, Run
from epp.requests import Usage
from epp.router import RouterSettings
from epp.scheduling import Profile
from epp.simulator.engine import Engine
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.recorder import Recorder
from epp.simulator.replica import PickerReplica
from epp.simulator.scenario import Incident, IncidentKind, Scenario
from epp.simulator.sequences import Finish, Finished, FirstToken, Refusal, RequestId, SimRequest

__all__ = ["Policy", "Simulation", "simulate"]

_DRAIN_S = 1800.0
"""A run ends at the latest so long after the last arrival that is known beforehand, and after five times that time."""

_NO_ROOM, _TOO_LONG, _NO_MODEL = 503, 400, 404
"""What vLLM answers when its queue is full, to more tokens than its model takes, and to an adapter without LoRA."""

_TELL_EVERY = 64
"""Calls."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A configuration that places calls."""

    name: str
    make_profile: Callable[[Simulation], Profile]
    """A new profile for each replica. The simulation is for policies that know the true state."""
    settings: RouterSettings = RouterSettings(kept_decisions=1)


def simulate(
    prepared: PreparedWorkload,
    scenario: Scenario,
    policy: Policy,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """One run from the first arrival to the last end. `progress` is told now and then how many calls are over."""
    return Simulation(prepared, scenario, policy, seed).run(progress)


@dataclass(slots=True)
class _Pod:
    """An engine with its place in the heap."""

    engine: Engine
    block_tokens: int
    version: int = 0
    """An event of an older version is void."""


class Simulation:
    """One run. Times are seconds from its begin."""

    def __init__(self, prepared: PreparedWorkload, scenario: Scenario, policy: Policy, seed: int) -> None:
        self.prepared = prepared
        self.scenario = scenario
        self.policy = policy
        self.seed = seed
        self.now = 0.0
        self.pods = [
            _Pod(Engine(pod.engine, 0.0, cost=pod.cost, speed=pod.speed), pod.engine.block_size)
            for pod in scenario.pods
        ]
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._births = count()
        self._sight = scenario.sight
        self._rng = np.random.default_rng([seed, 0])
        size = len(prepared.calls)
        self._turns = self._rng.integers(self._sight.replicas, size=size).tolist()
        self._unheard = (self._rng.random(size) < self._sight.reply_loss).tolist()
        self._recorder = Recorder(prepared, scenario, seed, policy.name)
        self.replicas = [self._replica(number) for number in range(self._sight.replicas)]
        self._begun: set[int] = set()
        """Streams whose first token came and whose end did not."""
        self._left = size

    def _replica(self, number: int) -> PickerReplica:
        addresses = tuple(f"10.{pod >> 16}.{pod >> 8 & 255}.{pod & 255}:8000" for pod in range(len(self.pods)))
        rng = np.random.default_rng([self.seed, 1, number])
        profile = self.policy.make_profile(self)
        lean = self._sight.lean
        return PickerReplica(self.prepared, profile, self._settings(), rng, addresses=addresses, lean=lean)

    def _settings(self) -> RouterSettings:
        """The policy's. Metrics fade when two pages are missing, as in `epp serve` when nothing else is configured."""
        pool = self.policy.settings.pool
        stale_after_s = max(pool.freshness.stale_after_s, 2 * self._sight.scrape_interval_s)
        freshness = replace(pool.freshness, stale_after_s=stale_after_s)
        return replace(self.policy.settings, pool=replace(pool, freshness=freshness))

    def run(self, progress: Callable[[int], None] | None = None) -> Run:
        """Runs to the end. To be called once."""
        self._begin()
        heap, told = self._heap, self._left
        deadline = 5 * self.prepared.workload.duration_s + _DRAIN_S
        while self._left and heap[0][0] <= deadline:  # pods are scraped for ever, so there is always an event
            self.now, _, happen, arguments = heappop(heap)
            happen(*arguments)
            if progress is not None and told - self._left >= _TELL_EVERY:
                progress(told - self._left)
                told = self._left
        if progress is not None:
            progress(told - self._left)
        return self._recorder.run([pod.engine for pod in self.pods], self.now)

    def _begin(self) -> None:
        interval = self._sight.scrape_interval_s
        for number in range(len(self.replicas)):
            for pod, offset in enumerate(self._rng.random(len(self.pods)).tolist()):
                self._at(0.0, self._look, number, pod, 0.0)  # a picker is ready when it has read each page once
                self._at(offset * interval, self._scrape, number, pod)
        for incident in self.scenario.incidents:
            self._at(incident.at_s, self._befall, incident)
        for index, call in enumerate(self.prepared.calls):
            if call.after is None:
                self._at(call.at_s, self._arrive, index)
        self._at(0.0, self._sample)

    def _at(self, when: float, happen: Callable[..., None], *arguments: object) -> None:
        heappush(self._heap, (when, next(self._births), happen, arguments))

    # Calls

    def _arrive(self, index: int) -> None:
        """A call reaches its picker, which has one thing to do at a time."""
        self._recorder.due(index, self.now)
        replica = self.replicas[self._turns[index]]
        begin = max(self.now, replica.free_at)
        megabytes = self.prepared.prompt_bytes[index] / 1e6
        replica.free_at = begin + self._sight.decision_s + self._sight.decision_per_mb_s * megabytes
        if begin > self.now:
            self._at(begin, self._decide, index, replica.free_at)
        else:
            self._decide(index, replica.free_at)

    def _decide(self, index: int, sent_at: float) -> None:
        picked = self.replicas[self._turns[index]].pick(index, self.now)
        if picked is None:
            self._over(index, Failure.REFUSED)
            return
        self._recorder.picked(index, picked)
        if sent_at > self.now:
            self._at(sent_at, self._send, index, picked.pod)
        else:
            self._send(index, picked.pod)

    def _send(self, index: int, pod_number: int) -> None:
        pod = self.pods[pod_number]
        if pod.engine.dead:
            self._lose(index)
        elif (status := self._error_of(pod, index)) is not None:
            self._tell(index, PickerReplica.turned_away, status)
            self._over(index, Failure.STATUS)
        elif pod.engine.submit(self._request(pod, index), self.now) is Refusal.BUSY:
            self._tell(index, PickerReplica.turned_away, _NO_ROOM)
            self._over(index, Failure.BUSY)
        else:
            self._drive(pod_number, pod)

    def _request(self, pod: _Pod, index: int) -> SimRequest:
        call = self.prepared.calls[index]
        return SimRequest(
            id=RequestId(index),
            prompt_tokens=self.prepared.prompt_tokens[index],
            output_tokens=call.output_tokens,
            block_hashes=self.prepared.blocks(index, pod.block_tokens),
            adapter=call.adapter,
            finish=Finish.STOP,
        )

    def _error_of(self, pod: _Pod, index: int) -> int | None:
        """The status with which a server refuses what it can never compute."""
        call, settings = self.prepared.calls[index], pod.engine.settings
        if call.adapter and not settings.max_loras:
            return _NO_MODEL
        return _TOO_LONG if self.prepared.prompt_tokens[index] + call.output_tokens > settings.max_model_len else None

    def _over(self, index: int, failure: Failure = Failure.NONE) -> None:
        """A call has ended, well or not; what waited for it comes after its pause."""
        self._left -= 1
        self._recorder.over(index, self.now, failure)
        for follower in self.prepared.followers[index]:
            self._at(self.now + self.prepared.calls[follower].at_s, self._arrive, follower)

    def _lose(self, index: int) -> None:
        self._tell(index, PickerReplica.cut_off if index in self._begun else PickerReplica.unreachable)
        self._begun.discard(index)
        self._over(index, Failure.LOST)

    # Engines

    def _drive(self, number: int, pod: _Pod) -> None:
        """Lets an engine compute, and comes back when there is something to see."""
        engine = pod.engine
        if not engine.stepping:
            engine.begin_run(self.now)
        pod.version += 1
        due = engine.next_event_at()
        if due is not None:
            self._at(due, self._step, number, pod.version)

    def _step(self, number: int, version: int) -> None:
        pod = self.pods[number]
        if version != pod.version:
            return
        result = pod.engine.end_step(self.now)
        if result is not None:
            for first in result.first:
                self._first_token(first)
            for finished in result.finished:
                self._finish(finished)
        self._drive(number, pod)

    def _first_token(self, first: FirstToken) -> None:
        index = int(first.id)
        self._recorder.first_token(index, self.now, first.cached_tokens)
        if self.prepared.calls[index].stream:
            self._begun.add(index)
            if not self._unheard[index]:
                self._tell(index, PickerReplica.began)

    def _finish(self, finished: Finished) -> None:
        index = int(finished.id)
        self._begun.discard(index)
        call, usage = self.prepared.calls[index], None
        if not self._unheard[index] and not self._sight.lean:
            cached_tokens = self._recorder.cached_tokens[index]
            usage = Usage(self.prepared.prompt_tokens[index], cached_tokens, call.output_tokens)
        has_begun = call.stream and not self._unheard[index]
        self._tell(index, PickerReplica.finished if has_begun else PickerReplica.answered, usage)
        self._over(index)

    def _tell(self, index: int, news: Callable[..., None], *details: object) -> None:
        """The picker hears of a reply a little later."""
        self._at(self.now + self._sight.reply_delay_s, self._hear, index, news, details)

    def _hear(self, index: int, news: Callable[..., None], details: Sequence[object]) -> None:
        news(self.replicas[self._turns[index]], index, *details, self.now)

    # What pickers see

    def _scrape(self, number: int, pod: int) -> None:
        self._look(number, pod, self._sight.scrape_delay_s)
        self._at(self.now + self._sight.scrape_interval_s, self._scrape, number, pod)

    def _look(self, number: int, pod: int, delay_s: float) -> None:
        page = self._page(pod)
        if delay_s:
            self._at(self.now + delay_s, self._read, number, pod, page, self.now)
        else:
            self._read(number, pod, page, self.now)

    def _read(self, number: int, pod: int, page: Scrape | None, asked_at: float) -> None:
        self.replicas[number].scraped(pod, page, asked_at, self.now)

    def _page(self, number: int) -> Scrape | None:
        """What the metrics page of a pod says; None when the pod is dead."""
        engine = self.pods[number].engine
        if engine.dead:
            return None
        gauges, settings = engine.gauges(self.now), engine.settings
        return Scrape(
            running=gauges.running,
            waiting=gauges.waiting,
            kv_usage=gauges.kv_usage,
            block_size=settings.block_size,
            capacity_tokens=settings.capacity_tokens,
            max_loras=settings.max_loras or None,
            adapters=frozenset(gauges.adapters) if settings.max_loras else None,
            start_time=gauges.started_at,
        )

    def _sample(self) -> None:
        self._recorder.sample(self.now, [pod.engine.gauges(self.now) for pod in self.pods])
        self._at(self.now + self._recorder.sample_every_s, self._sample)

    # Incidents

    def _befall(self, incident: Incident) -> None:
        pod = self.pods[incident.pod]
        match incident.kind:
            case IncidentKind.SPEED:
                pod.engine.set_speed(incident.speed, self.now)
            case IncidentKind.FAIL:
                for request in pod.engine.fail(self.now):
                    self._lose(int(request))
            case IncidentKind.RESTART:
                for request in pod.engine.restart(self.now):
                    self._lose(int(request))
        self._drive(incident.pod, pod)

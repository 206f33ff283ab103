"""A model server's engine: continuous batching in steps over a paged KV cache, without clock and IO.

A driver says what time it is. `begin_step(now)` schedules a step and tells when it will end; `end_step(now)` makes its
effects visible. Requests come and go at any time: they meet the next step. The HTTP server drives an engine in real
time, a discrete-event simulation drives many of them in virtual time; one sequence of calls gives one result. A driver
that calls `end_step`, then `begin_step` unless the engine is `stepping`, at each `next_event_at` and after each
`submit` and `wake`, misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from epp.simulator.costs import COSTS, DEFAULT_COST, StepCost, StepWork
from epp.simulator.lora import LabelSets
from epp.simulator.scheduler import EngineSettings, Schedule, Scheduler
from epp.simulator.sequences import (
    Counters,
    EngineMetrics,
    Finished,
    FirstToken,
    LiveSequence,
    Refusal,
    RequestId,
    SimRequest,
    StepResult,
)

__all__ = ["Engine"]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step under way."""

    chunks: list[tuple[LiveSequence, int]]
    begun_at: float
    ends_at: float


class Engine:
    """One engine. Times are seconds of the driver's clock, the same one for all calls."""

    def __init__(
        self, settings: EngineSettings, now: float = 0.0, *, cost: StepCost = COSTS[DEFAULT_COST], speed: float = 1.0
    ) -> None:
        self.settings = settings
        self._cost = cost
        self._dead = self._asleep = False
        self._arrivals = count()
        self.set_speed(speed)
        self._start(now)

    def _start(self, now: float) -> None:
        self._counters = Counters()
        self._scheduler = Scheduler(self.settings, self._counters)
        self._sequences: dict[RequestId, LiveSequence] = {}
        self._arriving: list[tuple[float, int, LiveSequence]] = []
        """On their way to the queue: a heap by the time when they reach it. Those aborted there are passed over."""
        self._label_sets = LabelSets()
        self._step: _Step | None = None
        self._started_at = now

    # Requests

    def submit(self, request: SimRequest, now: float) -> Refusal | None:
        """Take in a request; returns why not, if not. Raises ValueError for one that could never run."""
        self._check(request)
        if self._dead:
            return Refusal.DEAD
        limit = self.settings.max_queued_requests
        if limit is not None and len(self._sequences) >= limit:
            self._counters.busy_rejections += 1
            return Refusal.BUSY
        sequence = LiveSequence(request, next(self._arrivals), now)
        self._sequences[request.id] = sequence
        heappush(self._arriving, (now + self._cost.arrival_s / self._speed, sequence.order, sequence))
        return None

    def _check(self, request: SimRequest) -> None:
        length = request.prompt_tokens + request.output_tokens
        if request.id in self._sequences:
            raise ValueError(f"request {request.id} is already here")
        if request.prompt_tokens < 1 or request.output_tokens < 0 or length > self.settings.max_model_len:
            raise ValueError(
                f"request {request.id} has {request.prompt_tokens} prompt and {request.output_tokens} output tokens; "
                f"there must be a prompt, and together at most max_model_len ({self.settings.max_model_len})"
            )
        if request.adapter and not self.settings.max_loras:
            raise ValueError(f"request {request.id} wants adapter {request.adapter!r}, but max_loras is 0")

    def abort(self, request_id: RequestId, now: float) -> bool:
        """Drop a request, whatever its state; its slot and blocks are free at once. Returns whether it was here."""
        sequence = self._sequences.get(request_id)
        if sequence is None:
            return False
        if not sequence.arriving:
            self._scheduler.drop(sequence)
        self._leave(sequence)
        while self._arriving and self._arriving[0][2].left:
            heappop(self._arriving)
        self._record_adapters(now)
        return True

    # Steps

    def next_event_at(self) -> float | None:
        """When the step under way ends, or else when the next request reaches the queue; None when nothing is due."""
        if self._step is not None:
            return self._step.ends_at
        if self._dead or self._asleep or not self._arriving:
            return None
        return self._arriving[0][0]

    @property
    def stepping(self) -> bool:
        """A step is under way."""
        return self._step is not None

    def begin_step(self, now: float) -> float | None:
        """Begin a step; returns when it ends, or None when there is nothing to compute."""
        assert self._step is None, "a step is under way"
        if self._dead or self._asleep:
            return None
        self._queue_arrivals(now)
        schedule = self._scheduler.schedule()
        if not schedule.chunks:
            return None
        work_s = self._cost.seconds(self._work_of(schedule)) + schedule.adapter_loads * self.settings.lora_load_s
        self._step = _Step(schedule.chunks, now, now + work_s / self._speed)
        return self._step.ends_at

    def end_step(self, now: float) -> StepResult | None:
        """End the step that is due; None when none is, because the one that the driver had in mind was cancelled."""
        step = self._step
        if step is None or now < step.ends_at:
            return None
        self._step = None
        tokens: list[RequestId] = []
        first: list[FirstToken] = []
        finished: list[Finished] = []
        for sequence, computed in step.chunks:
            if not self._compute(sequence, computed):
                continue
            if sequence.prefilling:
                sequence.prefilling = False
                if not sequence.generated:
                    first.append(self._first_token(sequence, now))
            if sequence.request.output_tokens:
                self._generate(sequence, now)
                tokens.append(sequence.request.id)
            if sequence.generated >= sequence.request.output_tokens:
                finished.append(self._finish(sequence, now))
        self._counters.generation_tokens += len(tokens)
        if finished:
            self._scheduler.running = [sequence for sequence in self._scheduler.running if not sequence.left]
        self._record_adapters(now)
        if self._asleep:
            self._scheduler.evacuate()
        return StepResult(step.begun_at, step.ends_at - step.begun_at, tuple(tokens), tuple(first), tuple(finished))

    def _queue_arrivals(self, now: float) -> None:
        while self._arriving and self._arriving[0][0] <= now:
            sequence = heappop(self._arriving)[2]
            sequence.arriving = False
            if not sequence.left:
                self._scheduler.waiting.push(sequence)

    def _work_of(self, schedule: Schedule) -> StepWork:
        prefill = attention = decodes = context = 0
        for sequence, tokens in schedule.chunks:
            if sequence.prefilling:
                prefill += tokens
                attention += tokens * (2 * sequence.computed + tokens)
            else:
                decodes += 1
                context += sequence.computed
        pool = self._scheduler.pool
        return StepWork(prefill, attention, decodes, context, pool.used / pool.total)

    @staticmethod
    def _compute(sequence: LiveSequence, tokens: int) -> bool:
        """Whether, with these tokens computed, the next one is known. Not of one that left during the step."""
        if sequence.left:
            return False
        sequence.computed += tokens
        return sequence.computed == sequence.known

    def _first_token(self, sequence: LiveSequence, now: float) -> FirstToken:
        cached = sequence.cached_tokens or 0
        self._counters.prompt_tokens += sequence.request.prompt_tokens
        self._counters.cached_prompt_tokens += cached
        self._counters.ttft_s.observe(now - sequence.arrived_at)
        return FirstToken(sequence.request.id, cached)

    def _generate(self, sequence: LiveSequence, now: float) -> None:
        if sequence.generated:
            self._counters.inter_token_s.observe(now - sequence.token_at)
        sequence.generated += 1
        sequence.known += 1
        sequence.token_at = now

    def _finish(self, sequence: LiveSequence, now: float) -> Finished:
        """Everything but taking it out of the batch, which is done for all that finish at once."""
        self._scheduler.vacate(sequence)
        self._leave(sequence)
        finish = sequence.request.finish
        self._counters.finished[finish] += 1
        self._counters.e2e_s.observe(now - sequence.arrived_at)
        return Finished(sequence.request.id, finish)

    def _leave(self, sequence: LiveSequence) -> None:
        sequence.left = True
        del self._sequences[sequence.request.id]

    def _record_adapters(self, now: float) -> None:
        if self.settings.max_loras:
            self._label_sets.record(self._scheduler.slots.running, now)

    # Faults

    @property
    def dead(self) -> bool:
        """It failed and was not restarted."""
        return self._dead

    @property
    def speed(self) -> float:
        """How many times faster than the cost model steps are."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Run at another speed from the next step on."""
        if not speed > 0:
            raise ValueError(f"speed is {speed}; it must be more than 0")
        self._speed = speed

    def fail(self) -> tuple[RequestId, ...]:
        """The engine dies. Returns the requests that are lost; until `restart` all others are refused."""
        lost = tuple(self._sequences)
        self._dead = True
        self._step = None
        self._sequences = {}
        return lost

    def restart(self, now: float) -> tuple[RequestId, ...]:
        """Begin anew with an empty cache and counters at zero. Returns the requests that are lost, if it was alive."""
        lost = self.fail()
        self._dead = self._asleep = False
        self._start(now)
        return lost

    def sleep(self) -> None:
        """Keep all requests, those to come included, and compute nothing. The KV cache is lost (vLLM sleep level 1)."""
        self._asleep = True
        if self._step is None:
            self._scheduler.evacuate()

    def wake(self) -> None:
        """Go on after `sleep`."""
        self._asleep = False

    # What can be seen

    @property
    def requests(self) -> int:
        """How many are here: those that run, wait, or are on their way to the queue."""
        return len(self._sequences)

    def metrics(self) -> EngineMetrics:
        """The state now. An engine that sleeps shows no requests, although it holds them, as vLLM does."""
        scheduler, asleep = self._scheduler, self._asleep
        deferred = scheduler.waiting.deferred
        return EngineMetrics(
            requests=self.requests,
            running=0 if asleep else len(scheduler.running),
            waiting_capacity=0 if asleep else len(scheduler.waiting) - deferred,
            waiting_deferred=0 if asleep else deferred,
            used_blocks=scheduler.pool.used,
            cached_blocks=scheduler.pool.cached,
            total_blocks=scheduler.pool.total,
            asleep=asleep,
            dead=self._dead,
            started_at=self._started_at,
            label_sets=self._label_sets.snapshot(),
            resident_adapters=scheduler.slots.resident,
            counters=self._counters.copy(),
        )

    def __repr__(self) -> str:
        return f"<Engine {self._scheduler!r}>"

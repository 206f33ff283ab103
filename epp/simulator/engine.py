"""A model server's engine: continuous batching in steps over a paged KV cache, without clock and IO.

A driver says what time it is. `begin_step(now)` schedules a step and tells when it will end; `end_step(now)` makes its
effects visible. Requests come and go at any time: they meet the next step. The HTTP server drives an engine in real
time, a discrete-event simulation drives many of them in virtual time; one sequence of calls gives one result. A driver
that calls `end_step`, then `begin_step` unless the engine is `stepping`, at each `next_event_at` and after each
`submit` and `wake`, misses nothing.

In virtual time `begin_run` takes the place of `begin_step`. It covers many steps at once where they can only decode,
and `end_step` ends all of them; its result has `steps`, and no `tokens`. What comes in between (`submit`, `abort`,
`sleep`, `set_speed`) may make `next_event_at` earlier: ask again after each such call. Whatever looks at an engine sees
it as if it had gone step by step; that is why these calls take the time, which never goes back.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import numpy as np

from epp.simulator.blocks import BlockHashes
from epp.simulator.costs import COSTS, DEFAULT_COST, DecodeRun, StepCost, StepWork
from epp.simulator.lora import AdapterSlots, LabelSets
from epp.simulator.scheduler import Chunk, EngineSettings, Schedule, Scheduler
from epp.simulator.sequences import (
    Counters,
    EngineMetrics,
    Finished,
    FirstToken,
    Gauges,
    LiveSequence,
    Outlook,
    Refusal,
    RequestId,
    SimRequest,
    StepResult,
)
from epp.simulator.steps import Steps

__all__ = ["Engine"]


class Engine:
    """One engine. Times are seconds of the driver's clock, the same one for all calls."""

    def __init__(
        self, settings: EngineSettings, now: float = 0.0, *, cost: StepCost = COSTS[DEFAULT_COST], speed: float = 1.0
    ) -> None:
        self.settings = settings
        self.cost = cost
        """How long steps take at speed 1."""
        self._dead = self._asleep = False
        self._arrivals = count()
        self._steps: Steps | None = None
        self._start(now)
        self.set_speed(speed, now)

    def _start(self, now: float) -> None:
        self._counters = Counters()
        self._scheduler = Scheduler(self.settings, self._counters)
        self._sequences: dict[RequestId, LiveSequence] = {}
        self._arriving: list[tuple[float, int, LiveSequence]] = []
        """On their way to the queue: a heap by the time when they reach it. Those aborted there are passed over."""
        self._label_sets = LabelSets()
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
        queued_at = now + self.cost.arrival_s / self._speed
        heappush(self._arriving, (queued_at, sequence.order, sequence))
        if self._steps is not None:
            self._steps.cut(queued_at)
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
        self._interrupt(now)
        if not sequence.arriving:
            self._scheduler.drop(sequence)
        self._leave(sequence)
        while self._arriving and self._arriving[0][2].left:
            heappop(self._arriving)
        self._record_adapters(now)
        return True

    # Steps

    def next_event_at(self) -> float | None:
        """When what is under way ends, or else when the next request reaches the queue; None when nothing is due."""
        if self._steps is not None:
            return self._steps.ends_at
        if self._dead or self._asleep or not self._arriving:
            return None
        return self._arriving[0][0]

    @property
    def stepping(self) -> bool:
        """A step is under way."""
        return self._steps is not None

    def begin_step(self, now: float) -> float | None:
        """Begin a step; returns when it ends, or None when there is nothing to compute."""
        self._begin(now, as_run=False)
        return None if self._steps is None else self._steps.ends_at

    def begin_run(self, now: float) -> float | None:
        """Begin a step, and all that follow until the batch may change; returns when they end, or None as above.

        The batch changes when a request reaches the queue, when a sequence is complete, or when blocks run out.
        """
        self._begin(now, as_run=True)
        return None if self._steps is None else self._steps.ends_at

    def _begin(self, now: float, *, as_run: bool) -> None:
        assert self._steps is None, "a step is under way"
        if self._dead or self._asleep:
            return
        self._queue_arrivals(now)
        schedule = self._scheduler.schedule()
        if not schedule.chunks:
            return
        work = self._work_of(schedule)
        seconds = self.cost.seconds(work) + schedule.adapter_loads * self.settings.lora_load_s
        seconds += schedule.host_tokens * self.settings.host_load_s_per_token
        self._steps = Steps(schedule.chunks, now, now + seconds / self._speed, is_run=as_run)
        # What waits although nobody gave way lacks a place, a slot or blocks, and these do not come free in a run.
        if as_run and not work.prefill_tokens and not schedule.preempted:
            self._stretch(self._steps)

    def _stretch(self, steps: Steps) -> None:
        """Make a run of a step that only decodes."""
        count = min(each.request.output_tokens - each.generated for each, _ in steps.chunks)
        count = self._scheduler.steps_alike(steps.chunks, count)
        if count <= 1:
            return
        pool = self._scheduler.pool
        computed = [each.computed for each, _ in steps.chunks]
        run = DecodeRun(count, computed, pool.used, pool.total, self.settings.block_size)
        steps.stretch(self.cost.decode(run), self._speed, count)
        if self._arriving:
            steps.cut(self._arriving[0][0])

    def _settle(self, now: float) -> None:
        """Make the effects of the steps visible that are over."""
        if self._steps is not None:
            self._advance(self._steps, self._steps.over(now))

    def _interrupt(self, now: float) -> None:
        """Something changes: let only the step that is under way be completed."""
        self._settle(now)
        if self._steps is not None:
            self._steps.cut(now)

    def _advance(self, steps: Steps, done: int) -> None:
        """Go on to where that many steps of a run are over and the next one is under way."""
        fresh, counters = done - steps.done, self._counters
        if not fresh:
            return
        begun_at, first_at, now = steps.end_of(steps.done), steps.end_of(steps.done + 1), steps.end_of(done)
        observe = counters.inter_token_s.observe
        for sequence, _ in steps.chunks:
            observe(first_at - sequence.token_at)
            sequence.token_at = now
            sequence.generated += fresh
            sequence.known += fresh
            sequence.computed += fresh
            self._scheduler.grow(sequence)
        counters.inter_token_s.observe_rising(steps.end_of, steps.done + 1, done, len(steps.chunks))
        counters.generation_tokens += fresh * len(steps.chunks)
        counters.busy_s += now - begun_at
        steps.done = done
        self._record_adapters(now)

    def end_step(self, now: float) -> StepResult | None:
        """End the step or run that is due; None when none is, because what the driver had in mind was cancelled."""
        steps = self._steps
        if steps is None or now < steps.ends_at:
            return None
        self._advance(steps, steps.count - 1)
        self._counters.busy_s += steps.ends_at - steps.end_of(steps.done)
        self._steps = None
        tokens, first, finished = self._complete(steps.chunks, now)
        self._counters.generation_tokens += len(tokens)
        if finished:
            self._scheduler.running = [sequence for sequence in self._scheduler.running if not sequence.left]
        self._record_adapters(now)
        if self._asleep:
            self._scheduler.evacuate()
        told = () if steps.is_run else tuple(tokens)
        duration_s = steps.ends_at - steps.begun_at
        return StepResult(steps.begun_at, duration_s, told, tuple(first), tuple(finished), steps.count)

    def _complete(self, chunks: list[Chunk], now: float) -> tuple[list[RequestId], list[FirstToken], list[Finished]]:
        """What came of a step: who has one more token, who has a first one, who is complete."""
        tokens: list[RequestId] = []
        first: list[FirstToken] = []
        finished: list[Finished] = []
        for sequence, computed in chunks:
            if sequence.left:
                continue  # what was computed for it is void
            sequence.computed += computed
            if sequence.computed < sequence.known:
                continue
            request = sequence.request
            if sequence.prefilling:
                sequence.prefilling = False
                if not sequence.generated:
                    first.append(self._first_token(sequence, now))
            if request.output_tokens:
                self._generate(sequence, now)
                tokens.append(request.id)
            if sequence.generated >= request.output_tokens:
                finished.append(self._finish(sequence, now))
        return tokens, first, finished

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

    def set_speed(self, speed: float, now: float) -> None:
        """Run at another speed from the next step on."""
        if not speed > 0:
            raise ValueError(f"speed is {speed}; it must be more than 0")
        self._interrupt(now)
        self._speed = speed

    def fail(self, now: float) -> tuple[RequestId, ...]:
        """The engine dies. Returns the requests that are lost; until `restart` all others are refused."""
        self._settle(now)
        lost = tuple(self._sequences)
        self._dead = True
        self._steps = None
        self._sequences = {}
        return lost

    def restart(self, now: float) -> tuple[RequestId, ...]:
        """Begin anew with an empty cache and counters at zero. Returns the requests that are lost, if it was alive."""
        lost = self.fail(now)
        self._dead = self._asleep = False
        self._start(now)
        return lost

    def sleep(self, now: float) -> None:
        """Keep all requests, those to come included, and compute nothing. The KV cache is lost (vLLM sleep level 1)."""
        self._interrupt(now)
        self._asleep = True
        if self._steps is None:
            self._scheduler.evacuate()

    def wake(self) -> None:
        """Go on after `sleep`."""
        self._asleep = False

    # What can be seen

    @property
    def requests(self) -> int:
        """How many are here: those that run, wait, or are on their way to the queue."""
        return len(self._sequences)

    def cached_tokens(self, block_hashes: BlockHashes) -> int:
        """Leading tokens of a sequence that are in the KV cache as of the last call with a time; not the host's."""
        return self._scheduler.pool.match(block_hashes, len(block_hashes)).blocks * self.settings.block_size

    def gauges(self, now: float) -> Gauges:
        """What changes fast; `metrics` without copies."""
        self._settle(now)
        scheduler, pool = self._scheduler, self._scheduler.pool
        usage, adapters = pool.used / pool.total, scheduler.slots.running
        if self._asleep:
            return Gauges(0, 0, usage, adapters, self._started_at)
        return Gauges(len(scheduler.running), len(scheduler.waiting), usage, adapters, self._started_at)

    @property
    def adapters(self) -> AdapterSlots:
        """Which adapters run and which are resident, as they are now: to look at."""
        return self._scheduler.slots

    def counters(self, now: float) -> Counters:
        """What was counted since the last start. It goes on counting: read it, or copy it."""
        self._settle(now)
        return self._counters

    def outlook(self, now: float) -> Outlook:
        """What is still to do. The step under way counts as not begun."""
        self._settle(now)
        rows = [self._scheduler.left_of(sequence) for sequence in self._sequences.values()]
        table = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return Outlook(table[0], table[1], table[2], table[3].astype(np.bool_))

    def metrics(self, now: float) -> EngineMetrics:
        """The state now. An engine that sleeps shows no requests, although it holds them, as vLLM does."""
        self._settle(now)
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

"""Who computes what in the next step.

The rules are those of vLLM's v1 scheduler (`v1/core/sched/scheduler.py`): each step has a budget of tokens, what runs
gets its share first (so decodes before the one prefill that is under way), then requests are admitted in the order of
their arrival, each only if its whole sequence fits into the cache. When a running sequence finds no block, the one
admitted last is preempted: it loses its blocks, waits at the front, and computes its tokens again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from epp.simulator.blocks import BlockPool
from epp.simulator.lora import AdapterSlots
from epp.simulator.sequences import Counters, LiveSequence
from epp.simulator.waiting import WaitingQueue

__all__ = ["EngineSettings", "Schedule", "Scheduler"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine can do, named as vLLM's options are. Raises ValueError for what vLLM would not start with."""

    block_size: int = 16
    """Tokens per KV block (vLLM's default on GPUs)."""
    num_gpu_blocks: int = 16_384
    """KV blocks, one of them unusable as in vLLM. The default is that of Dynamo's mock engine."""
    max_num_seqs: int = 256
    """Sequences in one step."""
    max_num_batched_tokens: int = 8192
    """Tokens in one step, prefill and decode together."""
    max_model_len: int = 131_072
    """Tokens of one sequence, prompt and output together."""
    max_loras: int = 0
    """LoRA slots; 0: no adapters."""
    lora_load_s: float = 0.5
    """How much longer a step takes for each adapter that it must load. An assumption: no source."""
    max_queued_requests: int | None = None
    """Requests, running ones included, beyond which new ones are refused as busy (`--max-num-queued-reqs`)."""
    enable_prefix_caching: bool = True

    def __post_init__(self) -> None:
        for name in ("block_size", "max_num_seqs", "max_model_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens is {self.max_num_batched_tokens}, less than max_num_seqs "
                f"({self.max_num_seqs}): a step could not give every sequence its token; raise it or lower max_num_seqs"
            )
        if self.max_model_len > self.capacity_tokens:
            raise ValueError(
                f"max_model_len is {self.max_model_len}, but {self.num_gpu_blocks} blocks of {self.block_size} tokens "
                f"hold only {self.capacity_tokens}: lower max_model_len or raise num_gpu_blocks"
            )
        if self.max_loras < 0 or self.lora_load_s < 0:
            raise ValueError("max_loras and lora_load_s must not be negative")
        if self.max_queued_requests is not None and self.max_queued_requests < 1:
            raise ValueError(f"max_queued_requests is {self.max_queued_requests}; it must be at least 1, or None")

    @property
    def capacity_tokens(self) -> int:
        """Tokens that the usable blocks hold."""
        return (self.num_gpu_blocks - 1) * self.block_size


@dataclass(slots=True)
class Schedule:
    """What one step computes."""

    budget_tokens: int
    """What is left of it."""
    chunks: list[tuple[LiveSequence, int]] = field(default_factory=list)
    """Sequences with the number of tokens that are computed for each, at least one."""
    adapter_loads: int = 0

    def add(self, sequence: LiveSequence, tokens: int) -> None:
        """Compute that many tokens of the sequence."""
        self.chunks.append((sequence, tokens))
        self.budget_tokens -= tokens


class Scheduler:
    """The queue, the batch, and the blocks and slots that the batch holds.

    A step costs O(running), plus the blocks of the prompts that it looks at for admission.
    """

    def __init__(self, settings: EngineSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self.pool = BlockPool(settings.num_gpu_blocks - 1)
        self.slots = AdapterSlots(settings.max_loras)
        self.waiting = WaitingQueue()
        self.running: list[LiveSequence] = []
        """In the order of admission."""

    def schedule(self) -> Schedule:
        """The next step. No chunks: there is nothing to compute."""
        schedule = Schedule(self._settings.max_num_batched_tokens)
        if self._schedule_running(schedule):
            self._admit(schedule)
        return schedule

    def drop(self, sequence: LiveSequence) -> None:
        """Take out a sequence that waits or runs."""
        if sequence.running:
            self.running.remove(sequence)
            self.vacate(sequence)
        else:
            self.waiting.remove(sequence)

    def vacate(self, sequence: LiveSequence) -> None:
        """A sequence that was taken out of the batch gives back its blocks and its adapter's slot."""
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0
        sequence.running = sequence.prefilling = False
        self.slots.stop(sequence.request.adapter)

    def evacuate(self) -> None:
        """Put the whole batch back into the queue and forget the cache."""
        while self.running:
            self._preempt(self.running.pop())
        self.pool.forget_all()

    def _schedule_running(self, schedule: Schedule) -> bool:
        """Give running sequences their tokens. Returns whether there was room for all, so that others can come."""
        preemptions, size, position = self._counters.preemptions, self._settings.block_size, 0
        while position < len(self.running) and schedule.budget_tokens:
            sequence = self.running[position]
            tokens = min(sequence.known - sequence.computed, schedule.budget_tokens)
            # Most decodes neither need a new block nor fill the one that they write to.
            if tokens > 1 or (sequence.computed + 1) % size <= 1:
                self._make_room(sequence, tokens)
                if not sequence.running:
                    break  # it was the last one and gave way itself
            schedule.add(sequence, tokens)
            position += 1
        return self._counters.preemptions == preemptions

    def _make_room(self, sequence: LiveSequence, tokens: int) -> None:
        """Blocks for a running sequence, taken from those admitted after it and in the end from itself."""
        missing = self._blocks_for(sequence.computed + tokens) - len(sequence.blocks)
        while missing > self.pool.available and sequence.running:
            self._preempt(self.running.pop())
        if sequence.running:
            self._extend(sequence, tokens, missing)

    def _admit(self, schedule: Schedule) -> None:
        while schedule.budget_tokens and len(self.running) < self._settings.max_num_seqs:
            sequence = self.waiting.front(self.slots.admits)
            if sequence is None:
                return
            known, size = sequence.known, self._settings.block_size
            # At least one token must be computed to get the next one, so the last is never a hit.
            usable = (known - 1) // size if self._settings.enable_prefix_caching else 0
            hits = self.pool.match(islice(sequence.request.block_hashes, usable))
            if self._blocks_for(known) - len(hits) > self.pool.available - self.pool.count_idle(hits):
                return
            self.waiting.remove(sequence)
            self.pool.hold(hits)
            sequence.blocks = hits
            sequence.computed = len(hits) * size
            self._join(sequence, schedule)

    def _join(self, sequence: LiveSequence, schedule: Schedule) -> None:
        """The batch takes in a sequence that holds its hits."""
        self.running.append(sequence)
        sequence.running = sequence.prefilling = True
        if self.slots.start(sequence.request.adapter):
            schedule.adapter_loads += 1
            self._counters.adapter_loads += 1
        if sequence.cached_tokens is None:
            sequence.cached_tokens = sequence.computed
            if self._settings.enable_prefix_caching:
                self._counters.prefix_queries_tokens += sequence.known
                self._counters.prefix_hits_tokens += sequence.computed
        tokens = min(sequence.known - sequence.computed, schedule.budget_tokens)
        self._extend(sequence, tokens, self._blocks_for(sequence.computed + tokens) - len(sequence.blocks))
        schedule.add(sequence, tokens)

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._settings.block_size)

    def _extend(self, sequence: LiveSequence, tokens: int, missing: int) -> None:
        """Room for the next tokens. Blocks that they fill can be found at once, by others in this very step too."""
        if missing > 0:
            sequence.blocks += self.pool.take(missing)
        if not self._settings.enable_prefix_caching:
            return
        size, hashes = self._settings.block_size, sequence.request.block_hashes
        full = (sequence.computed + tokens) // size
        for index in range(sequence.computed // size, min(full, len(hashes))):
            self.pool.store(sequence.blocks[index], hashes[index])

    def _preempt(self, sequence: LiveSequence) -> None:
        """Back to the queue, nothing computed. The caller took it out of the batch."""
        self._counters.preemptions += 1
        self.vacate(sequence)
        self.waiting.push_front(sequence)

    def __repr__(self) -> str:
        return f"<Scheduler {len(self.running)} running, {self.waiting!r}, {self.pool!r}>"

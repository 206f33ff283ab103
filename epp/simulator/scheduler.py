"""Who computes what in the next step.

The rules are those of vLLM's v1 scheduler (`v1/core/sched/scheduler.py`): each step has a budget of tokens, what runs
gets its share first (so decodes before the one prefill that is under way), then requests are admitted in the order of
their arrival, each only if its whole sequence fits into the cache. When a running sequence finds no block, the one
admitted last is preempted: it loses its blocks, waits at the front, and computes its tokens again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from epp.simulator.blocks import BlockHash, BlockPool
from epp.simulator.host_tier import HostTier
from epp.simulator.lora import AdapterSlots
from epp.simulator.sequences import Counters, LiveSequence
from epp.simulator.waiting import WaitingQueue

__all__ = ["Chunk", "EngineSettings", "Schedule", "Scheduler"]

Chunk = tuple[LiveSequence, int]
"""A sequence, and how many of its tokens are computed in a step: at least one."""


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
    host_blocks: int = 0
    """Blocks in the host's memory that keep what the cache evicts; 0: none."""
    host_load_s_per_token: float = 2.6e-6
    """How much longer a step takes for each token loaded from there. An assumption: 128 KiB of KV cache per token
    (Llama-3.1-8B, bf16) over PCIe 5.0 x16 at 50 GB/s, with no computation meanwhile."""

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
        for name in ("max_loras", "lora_load_s", "host_blocks", "host_load_s_per_token"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
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
    chunks: list[Chunk] = field(default_factory=list)
    adapter_loads: int = 0
    host_tokens: int = 0
    """Tokens that are loaded from the host's memory."""
    preempted: bool = False
    """A sequence gave way, so none was admitted."""

    def add(self, sequence: LiveSequence, tokens: int) -> None:
        """Compute that many tokens of the sequence."""
        self.chunks.append((sequence, tokens))
        self.budget_tokens -= tokens


class Scheduler:
    """The queue, the batch, and the blocks and slots that the batch holds.

    A step costs O(running), plus what the pool does for the prompts that it looks at for admission.
    """

    def __init__(self, settings: EngineSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._host = HostTier(settings.host_blocks) if settings.host_blocks else None
        self.pool = BlockPool(settings.num_gpu_blocks - 1, self._host)
        self.slots = AdapterSlots(settings.max_loras)
        self.waiting = WaitingQueue()
        self.running: list[LiveSequence] = []
        """In the order of admission."""

    def schedule(self) -> Schedule:
        """The next step. No chunks: there is nothing to compute."""
        schedule = Schedule(self._settings.max_num_batched_tokens)
        schedule.preempted = not self._schedule_running(schedule)
        if not schedule.preempted:
            self._admit(schedule)
        return schedule

    def steps_alike(self, chunks: Sequence[Chunk], steps: int) -> int:
        """For how many steps, of at most `steps`, these decodes need nothing but free blocks. At least 1.

        They have their blocks for the first one.
        """
        size, available = self._settings.block_size, self.pool.available
        low, high = 1, self._steps_unshared(chunks, steps)  # there is room for `low`
        if len(chunks) * (high // size + 1) <= available:
            return high
        while low < high:
            middle = (low + high + 1) // 2
            missing = sum(self._blocks_for(each.computed + middle) - each.held.blocks for each, _ in chunks)
            low, high = (middle, high) if missing <= available else (low, middle - 1)
        return low

    def _steps_unshared(self, chunks: Sequence[Chunk], steps: int) -> int:
        """Until a block is complete that is there already, or that others of them complete too: one is given up."""
        size, seen = self._settings.block_size, set[BlockHash]()
        for sequence, _ in chunks:
            block_hash = self.pool.next_hash(sequence.held, sequence.request.block_hashes)
            if block_hash is None:
                continue
            if block_hash in seen or self.pool.knows(block_hash):
                steps = min(steps, size - 1 - sequence.computed % size or size)
            seen.add(block_hash)
        return steps

    def grow(self, sequence: LiveSequence) -> None:
        """Room for the next token of a sequence that decodes. There must be."""
        self._extend(sequence, 1, self._blocks_for(sequence.computed + 1) - sequence.held.blocks)

    def left_of(self, sequence: LiveSequence) -> tuple[int, int, int, bool]:
        """A row of `Outlook`."""
        context = sequence.computed if sequence.running else self._found_tokens(sequence)
        prefill = 0 if sequence.running and not sequence.prefilling else sequence.known - context
        return prefill, sequence.request.output_tokens - sequence.generated, context, sequence.running

    def _found_tokens(self, sequence: LiveSequence) -> int:
        """What a sequence that waits would find in the caches now. Less than it knows."""
        hits = self.pool.match(sequence.request.block_hashes, self._usable(sequence)).blocks
        return (hits + self._host_hits(sequence, hits)) * self._settings.block_size

    def drop(self, sequence: LiveSequence) -> None:
        """Take out a sequence that waits or runs."""
        if sequence.running:
            self.running.remove(sequence)
            self.vacate(sequence)
        else:
            self.waiting.remove(sequence)

    def vacate(self, sequence: LiveSequence) -> None:
        """A sequence that was taken out of the batch gives back its blocks and its adapter's slot."""
        self.pool.release(sequence.held)
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
        preemptions, size = self._counters.preemptions, self._settings.block_size
        budget, chunks = schedule.budget_tokens, schedule.chunks
        for sequence in self.running:  # the list may lose its end meanwhile
            if not budget:
                break
            computed = sequence.computed
            tokens = sequence.known - computed
            if tokens > budget:
                tokens = budget
            # Most decodes neither need a new block nor fill the one that they write to.
            if tokens > 1 or (computed + 1) % size <= 1:
                self._make_room(sequence, tokens)
                if not sequence.running:
                    break  # it was the last one and gave way itself
            chunks.append((sequence, tokens))
            budget -= tokens
        schedule.budget_tokens = budget
        return self._counters.preemptions == preemptions

    def _make_room(self, sequence: LiveSequence, tokens: int) -> None:
        """Blocks for a running sequence, taken from those admitted after it and in the end from itself."""
        missing = self._blocks_for(sequence.computed + tokens) - sequence.held.blocks
        while missing > self.pool.available and sequence.running:
            self._preempt(self.running.pop())
        if sequence.running:
            self._extend(sequence, tokens, missing)

    def _admit(self, schedule: Schedule) -> None:
        while schedule.budget_tokens and len(self.running) < self._settings.max_num_seqs:
            sequence = self.waiting.front(self.slots.admits)
            if sequence is None:
                return
            match = self.pool.match(sequence.request.block_hashes, self._usable(sequence))
            if self._blocks_for(sequence.known) - match.blocks > self.pool.available - match.idle:
                return
            self.waiting.remove(sequence)
            sequence.held = self.pool.hold(match)
            sequence.computed = match.blocks * self._settings.block_size
            if self._host is not None:
                self._load(sequence, match.blocks, schedule)
            self._join(sequence, schedule)

    def _usable(self, sequence: LiveSequence) -> int:
        """Blocks that could be hits. One token at least must be computed to get the next one, so the last is none."""
        return (sequence.known - 1) // self._settings.block_size if self._settings.enable_prefix_caching else 0

    def _host_hits(self, sequence: LiveSequence, start: int) -> int:
        """Blocks that are in the host's memory, after `start` that are in the cache."""
        hashes = sequence.request.block_hashes
        limit = min(self._usable(sequence), len(hashes))
        return self._host.count(hashes, start, limit) if self._host is not None else 0

    def _load(self, sequence: LiveSequence, start: int, schedule: Schedule) -> None:
        """Go on with hits in the host's memory."""
        assert self._host is not None, "there is none"
        blocks = self._host_hits(sequence, start)
        self._host.use(sequence.request.block_hashes, start, start + blocks)
        tokens = blocks * self._settings.block_size
        sequence.computed += tokens
        schedule.host_tokens += tokens
        self._counters.host_hits_tokens += tokens

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
                self._counters.prefix_hits_tokens += sequence.held.blocks * self._settings.block_size
        tokens = min(sequence.known - sequence.computed, schedule.budget_tokens)
        self._extend(sequence, tokens, self._blocks_for(sequence.computed + tokens) - sequence.held.blocks)
        schedule.add(sequence, tokens)

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._settings.block_size)

    def _extend(self, sequence: LiveSequence, tokens: int, missing: int) -> None:
        """Room for the next tokens. Blocks that they fill can be found at once, by others in this very step too."""
        if missing > 0:
            self.pool.take(sequence.held, missing)
        if self._settings.enable_prefix_caching:
            full = (sequence.computed + tokens) // self._settings.block_size
            self.pool.store(sequence.held, sequence.request.block_hashes, full)

    def _preempt(self, sequence: LiveSequence) -> None:
        """Back to the queue, nothing computed. The caller took it out of the batch."""
        self._counters.preemptions += 1
        self.vacate(sequence)
        self.waiting.push_front(sequence)

    def __repr__(self) -> str:
        return f"<Scheduler {len(self.running)} running, {self.waiting!r}, {self.pool!r}>"

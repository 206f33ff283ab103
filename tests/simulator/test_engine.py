"""The engine in virtual time: closed forms, then whatever hypothesis thinks of."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.simulator import Engine, EngineSettings, LinearCost, Refusal, RequestId, SimRequest, StepResult
from epp.simulator.blocks import BlockHash
from epp.simulator.costs import StepCost

STEP = LinearCost(
    step_s=1.0, decode_seq_s=0, decode_context_token_s=0, prefill_token_s=0, prefill_attention_s=0, arrival_s=0
)
"""Every step takes a second."""

SMALL = EngineSettings(block_size=4, num_gpu_blocks=101, max_num_seqs=8, max_num_batched_tokens=64, max_model_len=400)


@dataclass
class Run:
    """An engine, its time, and what came out of it."""

    engine: Engine
    now: float = 0.0
    tokens: dict[int, list[float]] = field(default_factory=dict)
    cached: dict[int, int] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)

    def submit(self, number: int, prompt: int, output: int, text: str = "", adapter: str = "") -> Refusal | None:
        """`text` names the content: equal texts have equal blocks."""
        hashes = [BlockHash(hash((text or number, index))) for index in range((prompt + output) // SMALL.block_size)]
        return self.engine.submit(SimRequest(RequestId(number), prompt, output, hashes, adapter), self.now)

    def step(self) -> StepResult | None:
        """On to the end of the next step; None if none comes."""
        while True:
            if not self.engine.stepping:
                self.engine.begin_step(self.now)
            at = self.engine.next_event_at()
            if at is None:
                return None
            self.now = max(self.now, at)
            result = self.engine.end_step(self.now)
            if result is not None:
                self._note(result)
                return result

    def run(self, steps: int = 10_000) -> "Run":
        for _ in range(steps):
            self.step()
            if not self.engine.requests:
                return self
        return self

    def _note(self, result: StepResult) -> None:
        for each in result.tokens:
            self.tokens.setdefault(each, []).append(self.now)
        self.cached.update((each.id, each.cached_tokens) for each in result.first)
        self.finished += (each.id for each in result.finished)


def run_of(cost: StepCost = STEP, speed: float = 1.0, **changes: int) -> Run:
    return Run(Engine(replace(SMALL, **changes), cost=cost, speed=speed))


def test_a_request_alone_takes_its_prefill_steps_then_one_step_per_token() -> None:
    run = run_of()
    run.submit(1, prompt=150, output=3)
    run.run()
    assert run.tokens[1] == [3.0, 4.0, 5.0]  # 64 + 64 + 22 tokens of prompt
    assert run.finished == [1]


def test_a_request_alone_takes_the_time_that_was_published() -> None:
    run = Run(Engine(EngineSettings(), cost=LinearCost()))
    run.submit(1, prompt=8000, output=2)
    run.run()
    assert run.tokens[1][0] == pytest.approx(0.066 + 0.0570 * 8 + 0.00441 * 64)
    assert run.tokens[1][1] - run.tokens[1][0] == pytest.approx(0.010635 + 0.000419 + 1.42e-7 * 8000)


def test_speed_divides_all_times() -> None:
    slow, fast = (Run(Engine(EngineSettings(max_loras=1), speed=speed)) for speed in (1.0, 10.0))
    for run in (slow, fast):
        run.submit(1, prompt=8000, output=3, adapter="a")
        run.run()
    assert [at / 10 for at in slow.tokens[1]] == pytest.approx(fast.tokens[1])


def test_the_latency_in_front_of_the_engine_delays_nobody_else() -> None:
    run = run_of(replace(STEP, arrival_s=2.5))
    run.submit(1, prompt=4, output=6)
    run.step()
    run.submit(2, prompt=4, output=1)
    run.run()
    assert run.tokens[1] == [3.5, 4.5, 5.5, 6.5, 7.5, 8.5]
    assert run.tokens[2] == [7.5]  # there at 6.0, in the step that begins at 6.5


def test_decodes_go_before_the_prefill_that_shares_the_step() -> None:
    run = run_of(max_num_batched_tokens=16)
    run.submit(1, prompt=4, output=20)
    run.step()
    run.step()
    run.submit(2, prompt=40, output=2)  # 15 tokens of budget beside the decode
    run.run()
    assert run.tokens[1] == [float(second) for second in range(1, 21)]
    assert run.tokens[2][0] == 5.0


def test_a_batch_holds_max_num_seqs() -> None:
    run = run_of(max_num_seqs=2)
    for number in range(3):
        run.submit(number, prompt=4, output=2)
    run.step()
    metrics = run.engine.metrics(run.now)
    assert (metrics.running, metrics.waiting_capacity, metrics.waiting_deferred, metrics.waiting) == (2, 1, 0, 1)
    run.run()
    assert run.finished == [0, 1, 2]
    assert run.tokens[2][0] == 3.0


HITS = {  # prompt of the second request, whose text is that of a first one with 40 tokens: tokens found
    "the same prompt: never its last token, so one block less": (40, 36),
    "a longer prompt": (47, 40),
    "a shorter prompt": (21, 20),
    "less than a block": (3, 0),
    "one block exactly": (4, 0),
}


@pytest.mark.parametrize(("prompt", "hits"), HITS.values(), ids=HITS)
def test_whole_blocks_of_a_known_prefix_are_found(prompt: int, hits: int) -> None:
    run = run_of()
    run.submit(1, prompt=40, output=1, text="t")
    run.run()
    run.submit(2, prompt=prompt, output=1, text="t")
    run.run()
    assert run.cached == {1: 0, 2: hits}
    counters = run.engine.metrics(run.now).counters
    assert (counters.prefix_queries_tokens, counters.prefix_hits_tokens) == (40 + prompt, hits)
    assert (counters.prompt_tokens, counters.cached_prompt_tokens) == (40 + prompt, hits)


def test_generated_blocks_are_found_by_the_next_turn() -> None:
    run = run_of()
    run.submit(1, prompt=8, output=9, text="t")
    run.run()
    run.submit(2, prompt=30, output=1, text="t")
    run.run()
    assert run.cached[2] == 16  # 8 + 9 tokens, of which the last was never fed in


def test_equal_prompts_in_one_step_share_blocks() -> None:
    run = run_of()
    run.submit(1, prompt=20, output=5, text="t")
    run.submit(2, prompt=20, output=5, text="t")
    run.step()
    assert run.cached == {1: 0, 2: 16}
    assert run.engine.metrics(run.now).used_blocks == 4 + 1  # each computed the last block, and one of them is kept


def test_without_prefix_caching_nothing_is_found_or_counted() -> None:
    run = run_of(enable_prefix_caching=False)
    for number in (1, 2):
        run.submit(number, prompt=40, output=1, text="t")
        run.run()
    assert run.cached == {1: 0, 2: 0}
    assert run.engine.metrics(run.now).counters.prefix_queries_tokens == 0


def test_the_oldest_prefix_is_evicted_from_its_tail() -> None:
    run = run_of(num_gpu_blocks=21, max_model_len=80)
    for number, text in enumerate("abc"):
        run.submit(number, prompt=28, output=0, text=text)  # 7 blocks of 20
        run.run()
    for number, text in enumerate("cba", start=10):
        run.submit(number, prompt=29, output=0, text=text)
        run.run()
    # The third took 6 fresh blocks and the last of the first. Looking again at the third and the second needs a block
    # each time, taken from what is left of the first, which then has 4.
    assert [run.cached[number] for number in (10, 11, 12)] == [28, 28, 16]


def test_blocks_in_use_are_not_evicted() -> None:
    run = run_of(num_gpu_blocks=21, max_model_len=80)
    run.submit(1, prompt=40, output=20, text="long")
    run.step()
    for number in range(2, 8):
        run.submit(number, prompt=16, output=0)
        run.step()
    run.submit(99, prompt=41, output=0, text="long")
    run.run()
    assert run.cached[99] == 40


def test_a_request_waits_until_its_whole_prompt_fits() -> None:
    run = run_of(num_gpu_blocks=21, max_model_len=80)
    run.submit(1, prompt=60, output=3)
    run.submit(2, prompt=40, output=1)
    run.step()
    assert run.engine.metrics(run.now).waiting_capacity == 1
    run.run()
    assert run.tokens[2] == [4.0]


def test_a_full_cache_preempts_the_youngest_which_still_completes() -> None:
    run = run_of(num_gpu_blocks=21, max_model_len=80)
    run.submit(1, prompt=36, output=20)
    run.submit(2, prompt=36, output=20)
    run.run()
    assert sorted(run.finished) == [1, 2]
    assert run.finished[0] == 1
    assert [len(run.tokens[number]) for number in (1, 2)] == [20, 20]
    assert run.tokens[1] == [float(second) for second in range(1, 21)]
    counters = run.engine.metrics(run.now).counters
    assert counters.preemptions >= 1
    assert counters.prompt_tokens == 72  # counted once, although some were computed twice
    assert run.engine.metrics(run.now).used_blocks == 0


def test_a_request_that_fills_the_cache_runs_alone() -> None:
    run = run_of(num_gpu_blocks=21, max_model_len=80)
    run.submit(1, prompt=10, output=70)
    run.submit(2, prompt=10, output=70)
    run.run()
    assert [len(run.tokens[number]) for number in (1, 2)] == [70, 70]


def test_an_adapter_without_a_slot_defers_its_request_but_not_those_behind_it() -> None:
    run = run_of(max_loras=2, lora_load_s=0)
    for number, adapter in enumerate(("a", "b", "c", "", "a")):
        run.submit(number, prompt=4, output=3, adapter=adapter)
    run.step()
    metrics = run.engine.metrics(run.now)
    assert (metrics.running, metrics.waiting_capacity, metrics.waiting_deferred) == (4, 0, 1)
    assert metrics.label_sets[-1].adapters == ("a", "b")
    run.run()
    assert run.tokens[2] == [4.0, 5.0, 6.0]
    assert run.engine.metrics(run.now).label_sets[-1].adapters == ()
    assert run.engine.metrics(run.now).resident_adapters == ("a", "c")


def test_loading_an_adapter_makes_the_step_longer_once() -> None:
    run = run_of(max_loras=1, lora_load_s=5)
    run.submit(1, prompt=4, output=2, adapter="a")
    run.run()
    assert run.tokens[1] == [6.0, 7.0]
    run.submit(2, prompt=4, output=1, adapter="a")
    run.run()
    assert run.tokens[2] == [8.0]
    assert run.engine.metrics(run.now).counters.adapter_loads == 1


@pytest.mark.parametrize("steps", [0, 1, 3], ids=["just arrived", "after the prefill", "decoding"])
@pytest.mark.parametrize("under_way", [False, True], ids=["between steps", "in a step"])
def test_abort_frees_slot_and_blocks_at_once(steps: int, under_way: bool) -> None:
    run = run_of(max_loras=1, max_num_seqs=1, lora_load_s=0)
    run.submit(1, prompt=40, output=50, adapter="a")
    for _ in range(steps):
        run.step()
    if under_way:
        run.engine.begin_step(run.now)
    assert run.engine.abort(RequestId(1), run.now)
    assert not run.engine.abort(RequestId(1), run.now)
    metrics = run.engine.metrics(run.now)
    assert (metrics.running, metrics.waiting, metrics.used_blocks) == (0, 0, 0)
    run.submit(2, prompt=4, output=1)
    run.run()
    assert run.finished == [2]
    assert len(run.tokens.get(1, ())) == steps


def test_abort_on_the_way_to_the_queue_leaves_nothing() -> None:
    run = run_of(replace(STEP, arrival_s=1.0))
    run.submit(1, prompt=4, output=1)
    run.submit(2, prompt=4, output=1)
    run.engine.abort(RequestId(1), run.now)
    run.run()
    assert run.finished == [2]


def test_a_request_without_output_ends_with_its_prefill() -> None:
    run = run_of()
    run.submit(1, prompt=100, output=0)
    run.run()
    assert run.finished == [1]
    assert run.tokens == {}
    assert run.engine.metrics(run.now).counters.generation_tokens == 0


def test_a_full_queue_refuses() -> None:
    run = run_of(max_queued_requests=2)
    assert [run.submit(number, prompt=4, output=1) for number in range(3)] == [None, None, Refusal.BUSY]
    assert run.engine.metrics(run.now).counters.busy_rejections == 1
    run.run()
    assert run.submit(4, prompt=4, output=1) is None


IMPOSSIBLE = {
    "no prompt": SimRequest(RequestId(2), 0, 1),
    "too long": SimRequest(RequestId(2), 300, 101),
    "an adapter where there are none": SimRequest(RequestId(2), 4, 1, adapter="a"),
    "an id that is taken": SimRequest(RequestId(1), 4, 1),
}


@pytest.mark.parametrize("request_", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_could_never_run_is_an_error(request_: SimRequest) -> None:
    run = run_of()
    run.submit(1, prompt=4, output=1)
    with pytest.raises(ValueError, match=r"request \d"):
        run.engine.submit(request_, 0.0)
    assert run.engine.requests == 1


def test_a_dead_engine_loses_its_requests_and_refuses_others() -> None:
    run = run_of()
    run.submit(1, prompt=100, output=5)
    run.step()
    run.submit(2, prompt=4, output=5)
    due = run.engine.next_event_at()
    assert due is not None
    assert run.engine.fail(run.now) == (1, 2)
    assert run.engine.dead
    assert run.submit(3, prompt=4, output=1) is Refusal.DEAD
    assert run.engine.next_event_at() is None
    assert run.engine.end_step(due) is None
    assert run.engine.begin_step(due) is None
    assert run.engine.metrics(run.now).running == 1  # frozen as it was


def test_a_restart_is_cold() -> None:
    run = run_of()
    run.submit(1, prompt=40, output=1, text="t")
    run.run()
    run.submit(2, prompt=40, output=9, text="t")
    run.step()
    assert run.engine.restart(run.now) == (2,)
    metrics = run.engine.metrics(run.now)
    assert (metrics.started_at, metrics.cached_blocks, metrics.counters.prompt_tokens) == (run.now, 0, 0)
    run.submit(3, prompt=40, output=1, text="t")
    run.run()
    assert run.cached[3] == 0


def test_the_end_of_a_step_that_was_cancelled_does_not_end_the_next_one() -> None:
    run = run_of()
    run.submit(1, prompt=4, output=1)
    old = run.engine.begin_step(0.0)
    assert old == 1.0
    run.engine.restart(0.5)
    run.submit(2, prompt=4, output=1)
    assert run.engine.begin_step(0.5) == 1.5
    assert run.engine.end_step(old) is None
    assert run.engine.end_step(1.5) is not None


def test_another_speed_counts_from_the_next_step_on() -> None:
    run = run_of()
    run.submit(1, prompt=4, output=3)
    run.engine.begin_step(0.0)
    run.engine.set_speed(0.5, 0.0)
    run.run()
    assert run.tokens[1] == [1.0, 3.0, 5.0]
    with pytest.raises(ValueError, match="speed is 0"):
        run.engine.set_speed(0.0, run.now)


def test_a_sleeping_engine_holds_its_requests_hides_them_and_forgets_its_cache() -> None:
    run = run_of()
    run.submit(1, prompt=40, output=3, text="t")
    run.step()
    run.engine.sleep(run.now)
    run.step()
    run.submit(2, prompt=40, output=1, text="t")
    metrics = run.engine.metrics(run.now)
    assert (metrics.asleep, metrics.running, metrics.waiting, metrics.used_blocks, metrics.cached_blocks) == (
        *(True, 0, 0, 0, 0),
    )
    assert run.step() is None
    assert run.engine.requests == 2
    run.engine.wake()
    run.run()
    assert sorted(run.finished) == [1, 2]
    assert len(run.tokens[1]) == 3


def test_times_are_observed() -> None:
    run = run_of()
    run.submit(1, prompt=100, output=3)
    run.run()
    counters = run.engine.metrics(run.now).counters
    assert (counters.ttft_s.sum, counters.inter_token_s.sum, counters.e2e_s.sum) == (2.0, 2.0, 4.0)
    assert (sum(counters.ttft_s.counts), sum(counters.inter_token_s.counts), sum(counters.e2e_s.counts)) == (1, 2, 1)


def test_the_time_in_steps_is_counted() -> None:
    run = run_of()
    run.submit(1, prompt=100, output=3)
    run.run()
    run.now = 50.0
    run.submit(2, prompt=4, output=1)
    run.run()
    assert run.engine.counters(run.now).busy_s == 5.0


def test_gauges_are_those_of_the_metrics() -> None:
    run = run_of(max_num_seqs=1, max_loras=1, lora_load_s=0)
    for number in range(3):
        run.submit(number, prompt=16, output=9, adapter="a")
    run.step()
    gauges = run.engine.gauges(run.now)
    assert (gauges.running, gauges.waiting, gauges.kv_usage, gauges.adapters) == (1, 2, 4 / 100, ("a",))
    run.engine.sleep(run.now)
    assert (run.engine.gauges(run.now).running, run.engine.gauges(run.now).waiting) == (0, 0)


def test_an_outlook_tells_what_is_left_of_each_request() -> None:
    run = run_of(replace(STEP, arrival_s=1.5), max_num_seqs=2)
    run.submit(1, prompt=30, output=9, text="t")
    run.step()
    run.step()
    run.submit(2, prompt=100, output=5)
    for _ in range(3):
        run.step()
    run.submit(3, prompt=41, output=7, text="t")
    outlook = run.engine.outlook(run.now)
    assert outlook.prefill_tokens.tolist() == [0, 100 - 63, 41 - 32]
    assert outlook.output_tokens.tolist() == [9 - 5, 5, 7]
    assert outlook.context_tokens.tolist() == [34, 63, 32]
    assert outlook.running.tolist() == [True, True, False]


def test_an_outlook_of_an_idle_engine_is_empty() -> None:
    outlook = run_of().engine.outlook(0.0)
    assert [len(column) for column in (outlook.prefill_tokens, outlook.running)] == [0, 0]
    assert outlook.running.dtype == bool


def test_the_cache_can_be_asked_without_holding() -> None:
    run = run_of()
    run.submit(1, prompt=40, output=1, text="t")
    run.run()
    hashes = [BlockHash(hash(("t", index))) for index in range(12)]
    assert run.engine.cached_tokens(hashes) == 40
    assert run.engine.cached_tokens(hashes[:3]) == 12
    assert run.engine.cached_tokens(hashes[1:]) == 0
    assert run.engine.metrics(run.now).used_blocks == 0


def evicted_to_host(**changes: float) -> Run:
    """A prompt of 40 tokens came, and others that drove it out of a cache of 80 tokens."""
    run = Run(Engine(replace(SMALL, num_gpu_blocks=21, max_model_len=80, **changes), cost=STEP))
    run.submit(1, prompt=40, output=0, text="t")
    for number in (2, 3):
        run.submit(number, prompt=40, output=0)
    return run.run()


def test_what_was_evicted_is_loaded_from_the_host() -> None:
    run = evicted_to_host(host_blocks=100, host_load_s_per_token=0.25)
    before = run.now
    run.submit(4, prompt=40, output=0, text="t")
    run.run()
    assert run.cached[4] == 36
    assert run.now - before == 1.0 + 36 * 0.25
    counters = run.engine.counters(run.now)
    assert (counters.host_hits_tokens, counters.prefix_hits_tokens, counters.cached_prompt_tokens) == (36, 0, 36)
    run.submit(5, prompt=40, output=0, text="t")
    run.run()
    assert (run.cached[5], run.engine.counters(run.now).host_hits_tokens) == (36, 36)  # in the cache again


def test_hits_go_on_in_the_host_where_the_cache_ends() -> None:
    run = evicted_to_host(host_blocks=100, host_load_s_per_token=0.25)
    run.submit(4, prompt=16, output=0, text="t")
    run.run()
    run.submit(5, prompt=40, output=0, text="t")
    outlook = run.engine.outlook(run.now)
    assert (outlook.prefill_tokens.tolist(), outlook.context_tokens.tolist()) == ([4], [36])
    run.run()
    assert run.cached[5] == 36
    assert run.engine.counters(run.now).prefix_hits_tokens == 16
    assert run.engine.counters(run.now).host_hits_tokens == 12 + 20


def test_a_small_host_tier_keeps_what_was_evicted_last() -> None:
    run = evicted_to_host(host_blocks=5)
    run.submit(4, prompt=40, output=0, text="t")
    run.run()
    assert run.cached[4] == 20


def test_without_a_host_tier_what_was_evicted_is_gone() -> None:
    run = evicted_to_host()
    run.submit(4, prompt=40, output=0, text="t")
    run.run()
    assert (run.cached[4], run.engine.counters(run.now).host_hits_tokens) == (0, 0)


Action = tuple[str, int, int, int, str]
ACTIONS: st.SearchStrategy[list[Action]] = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "step", "step", "abort", "sleep"]),
        st.integers(1, 60),
        st.integers(0, 20),
        st.integers(0, 3),
        st.sampled_from(["", "", "a", "b", "c"]),
    ),
    max_size=40,
)


def play(actions: Iterable[Action]) -> tuple[Run, set[int]]:
    """A small cache under pressure. Returns the run, and the requests that must finish."""
    run = run_of(num_gpu_blocks=26, max_model_len=100, max_num_seqs=4, max_num_batched_tokens=24, max_loras=2)
    wanted: set[int] = set()
    for number, (kind, prompt, output, text, adapter) in enumerate(actions):
        match kind:
            case "submit":
                run.submit(number, prompt, output, text=f"text {text}", adapter=adapter)
                wanted.add(number)
            case "step":
                run.step()
            case "abort" if wanted:
                victim = sorted(wanted)[prompt % len(wanted)]
                if run.engine.abort(RequestId(victim), run.now):
                    wanted.remove(victim)
            case _:
                run.engine.sleep(run.now)
                run.step()
                run.engine.wake()
        metrics = run.engine.metrics(run.now)
        free = metrics.total_blocks - metrics.used_blocks - metrics.cached_blocks
        assert metrics.used_blocks >= 0
        assert metrics.cached_blocks >= 0
        assert free >= 0
        assert metrics.running <= 4
        assert len(metrics.resident_adapters) <= 2
    return run.run(), wanted


@given(ACTIONS)
@settings(max_examples=150, deadline=None)
def test_all_that_is_submitted_and_not_aborted_finishes_and_gives_everything_back(actions: list[Action]) -> None:
    run, wanted = play(actions)
    assert sorted(run.finished) == sorted(wanted)
    assert run.engine.requests == 0
    metrics = run.engine.metrics(run.now)
    assert (metrics.used_blocks, metrics.running, metrics.waiting) == (0, 0, 0)
    for number in wanted:
        output = actions[number][2]
        assert len(run.tokens.get(number, ())) == output


@given(ACTIONS)
@settings(max_examples=30, deadline=None)
def test_one_sequence_of_calls_gives_one_result(actions: list[Action]) -> None:
    first, second = play(actions)[0], play(actions)[0]
    assert (first.now, first.tokens, first.finished) == (second.now, second.tokens, second.finished)

"""Runs of steps: whatever happens, they give what their steps give one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.simulator import Engine, EngineSettings, Gauges, LinearCost, MockerCost, RequestId, SimRequest
from epp.simulator.blocks import BlockHash
from epp.simulator.costs import LinearSeries, StepCost
from epp.simulator.steps import Steps

Begin = Callable[[Engine, float], float | None]

SMALL = EngineSettings(
    block_size=4,
    num_gpu_blocks=31,
    max_num_seqs=4,
    max_num_batched_tokens=24,
    max_model_len=100,
    max_loras=2,
    lora_load_s=0.021,
)


@dataclass
class Play:
    """An engine in virtual time, and all that can be seen of it."""

    engine: Engine
    begin: Begin
    now: float = 0.0
    first: dict[int, tuple[float, int]] = field(default_factory=dict)
    finished: dict[int, float] = field(default_factory=dict)
    seen: list[tuple[Gauges, list[list[int]], int, int, list[int]]] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    lost: list[tuple[RequestId, ...]] = field(default_factory=list)
    events: int = 0

    def until(self, end: float) -> None:
        while True:
            if not self.engine.stepping:
                self.begin(self.engine, self.now)
            due = self.engine.next_event_at()
            if due is None or due > end:
                break
            self.now = due
            self.events += 1
            result = self.engine.end_step(due)
            if result is not None:
                self.first.update((each.id, (due, each.cached_tokens)) for each in result.first)
                self.finished.update((each.id, due) for each in result.finished)
        self.now = end

    def submit(self, number: int, prompt: int, output: int, text: int = 0, adapter: str = "") -> None:
        """Equal texts have equal prompts as far as they go, and equal outputs to equal prompts."""
        size = SMALL.block_size
        hashes = [BlockHash(hash((text, index))) for index in range(prompt // size)]
        hashes += [BlockHash(hash((text, "output", prompt, index))) for index in range((prompt + output) // size)]
        del hashes[(prompt + output) // size :]
        self.engine.submit(SimRequest(RequestId(number), prompt, output, hashes, adapter), self.now)

    def look(self) -> None:
        counters, outlook = self.engine.counters(self.now), self.engine.outlook(self.now)
        table = (outlook.prefill_tokens, outlook.output_tokens, outlook.context_tokens, outlook.running)
        self.busy_s.append(counters.busy_s)
        self.seen.append(
            (
                self.engine.gauges(self.now),
                [column.tolist() for column in table],
                counters.generation_tokens,
                counters.preemptions,
                counters.inter_token_s.counts.copy(),
            )
        )


Action = tuple[str, int, int, int, int, str]
KINDS = ["submit"] * 12 + ["look"] * 3 + ["abort", "abort", "speed", "sleep", "wake", "restart", "fail"]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 12),
        st.integers(1, 60),
        st.integers(0, 39),
        st.integers(0, 3),
        st.sampled_from(["", "", "", "", "a", "b", "c"]),
    ),
    min_size=4,
    max_size=30,
)


def play(cost: StepCost, actions: Sequence[Action], begin: Begin) -> Play:
    here = Play(Engine(SMALL, cost=cost), begin)
    for number, (kind, gap, prompt, output, text, adapter) in enumerate(actions):
        here.until(here.now + gap * 0.0173)
        match kind:
            case "submit":
                here.submit(number, prompt, output, text, adapter)
            case "look":
                here.look()
            case "abort":
                here.engine.abort(RequestId(max(0, number - 1 - prompt % 4)), here.now)
            case "speed":
                here.engine.set_speed(prompt / 17, here.now)
            case "sleep":
                here.engine.sleep(here.now)
            case "wake":
                here.engine.wake()
            case _:
                if kind == "fail":
                    here.lost.append(here.engine.fail(here.now))
                    here.until(here.now + 0.3)
                here.lost.append(here.engine.restart(here.now))
    here.engine.wake()
    here.until(here.now + 500.0)
    here.look()
    return here


COSTS = {"linear": LinearCost(arrival_s=0.013), "mocker": MockerCost()}


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
@given(actions=ACTIONS)
@settings(max_examples=150, deadline=None)
def test_a_run_gives_what_its_steps_give_one_by_one(cost: StepCost, actions: Sequence[Action]) -> None:
    steps, runs = play(cost, actions, Engine.begin_step), play(cost, actions, Engine.begin_run)
    assert runs.finished == pytest.approx(steps.finished, rel=1e-9)
    assert {number: at for number, (at, _) in runs.first.items()} == pytest.approx(
        {number: at for number, (at, _) in steps.first.items()}, rel=1e-9
    )
    assert {number: cached for number, (_, cached) in runs.first.items()} == {
        number: cached for number, (_, cached) in steps.first.items()
    }
    assert runs.seen == steps.seen
    assert runs.busy_s == pytest.approx(steps.busy_s, rel=1e-9)
    assert runs.lost == steps.lost
    assert runs.events <= steps.events


def test_a_run_ends_with_the_first_sequence_that_is_complete() -> None:
    here = Play(Engine(SMALL), Engine.begin_run)
    here.submit(1, prompt=3, output=31)
    here.submit(2, prompt=3, output=11, text=1)
    here.until(20.0)
    assert sorted(here.finished) == [1, 2]
    assert here.events == 4  # they reach the queue, have their first tokens, and are complete one after the other


def test_the_result_of_a_run_counts_its_steps_and_does_not_name_its_tokens() -> None:
    engine = Engine(SMALL, cost=LinearCost(arrival_s=0.0))
    engine.submit(SimRequest(RequestId(1), 3, 31), 0.0)
    prefilled = engine.begin_run(0.0)
    assert prefilled is not None
    engine.end_step(prefilled)
    ends_at = engine.begin_run(prefilled)
    assert ends_at is not None
    result = engine.end_step(ends_at)
    assert result is not None
    assert (result.steps, result.tokens, len(result.finished)) == (30, (), 1)
    assert result.begun_at + result.duration_s == pytest.approx(ends_at)


def test_a_request_ends_the_run_with_the_step_that_is_under_way_when_it_reaches_the_queue() -> None:
    here = Play(Engine(SMALL, cost=LinearCost(0.1, 0, 0, 0, 0, arrival_s=0.25)), Engine.begin_run)
    here.submit(1, prompt=3, output=30)
    here.until(0.96)
    assert here.engine.next_event_at() == pytest.approx(0.25 + 3.0)
    here.submit(2, prompt=3, output=1)  # there at 1.21, in the step that ends at 1.25
    assert here.engine.next_event_at() == pytest.approx(1.25)
    here.until(9.0)
    assert here.first[2][0] == pytest.approx(1.35)


def run_of(count: int) -> Steps:
    steps = Steps([], 10.0, 11.0, is_run=True)
    steps.stretch(LinearSeries(1.0, 0.5), 2.0, count)
    return steps


def test_steps_end_by_their_series_and_speed() -> None:
    steps = run_of(4)
    assert [steps.end_of(count) for count in range(5)] == [10.0, 10.5, 11.25, 12.25, 13.5]
    assert steps.ends_at == 13.5
    assert [steps.over(now) for now in (10.0, 10.49, 10.5, 12.3, 99.0)] == [0, 0, 1, 3, 3]  # its driver ends the last


CUTS = {10.0: 10.5, 10.3: 10.5, 10.5: 10.5, 10.6: 11.25, 13.4: 13.5, 99.0: 13.5}
"""When a run is cut: when it ends."""


@pytest.mark.parametrize(("at", "ends_at"), CUTS.items())
def test_a_cut_lets_the_step_under_way_be_completed(at: float, ends_at: float) -> None:
    steps = run_of(4)
    steps.cut(at)
    assert steps.ends_at == ends_at


def test_a_cut_does_not_undo_what_could_be_seen() -> None:
    steps = run_of(4)
    steps.done = 2
    steps.cut(10.0)
    assert (steps.count, steps.ends_at) == (3, 12.25)

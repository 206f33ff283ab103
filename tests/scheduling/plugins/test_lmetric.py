from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.prefix import chain_of
from epp.scheduling import View
from epp.scheduling.plugins.lmetric import LMetricCost
from tests.scheduling.plugins.contract import chat, costs, opaque, place, pool_with, view
from tests.scheduling.scene import pool_of, view_of

TABLE = {
    # matched blocks of 64 tokens, requests, prefill in front; prompt 640 tokens
    "idle and cold": (0, 0, 0, 640 * 1),
    "cached against busy": (8, 3, 0, 128 * 4),
    "all of it cached": (10, 3, 0, 1 * 4),
    "queued prefill counts": (8, 1, 1000, 1128 * 2),
    "cached and behind a queue": (10, 1, 1000, 1000 * 2),
}


@pytest.mark.parametrize(("blocks", "requests", "waiting", "expected"), TABLE.values(), ids=TABLE)
def test_costs_are_the_product(blocks: int, requests: float, waiting: float, expected: float) -> None:
    pool = pool_with(1, requests=[requests], prefill_tokens=[waiting])
    assert costs(LMetricCost(), chat(), view(pool, blocks=[blocks], prompt_tokens=640)) == [expected]


def test_without_a_prompt_batches_and_queues_decide() -> None:
    look = view(pool_with(3, requests=[0, 2, 0], prefill_tokens=[0, 0, 5]))
    assert costs(LMetricCost(), opaque(), look) == [1, 3, 5]


def look_at(holders: Sequence[int], requests: Sequence[float], prompt: int = 1) -> View:
    """A prompt of 10 blocks, all of which `holders` have."""
    chain = chain_of([f"{prompt:>8}".encode() * 320], 0)
    blocks = [10 if row in holders else 0 for row in range(len(requests))]
    pool = pool_of(len(requests), requests=requests)
    return view_of(pool, chain=chain, matched_blocks=blocks, prompt_tokens=640)


def ask(cost: LMetricCost, look: View) -> int:
    """Where a request goes, and that it went there."""
    request = chat()
    row = int(np.argmin(cost.cost(request, look)))
    place(cost, request, look.pool, row)
    return row


def test_holders_of_a_hot_class_are_left_out_after_a_streak() -> None:
    """One of four holds a class that makes up all requests: the second one in a row goes elsewhere."""
    cost = LMetricCost()
    assert [ask(cost, look_at([0], [2, 1, 1, 1])) for _ in range(4)] == [0, 1, 1, 1]


def test_the_alarm_ends_when_others_hold_the_class_too() -> None:
    cost = LMetricCost(window_requests=4)
    for prompt in (8, 8):
        ask(cost, look_at([1], [0, 9, 9, 9], prompt))
    assert [ask(cost, look_at([0], [2, 1, 1, 1])) for _ in range(2)] == [0, 1]
    assert ask(cost, look_at([0, 1, 2], [2, 3, 3, 1])) == 0  # three of four hold it, three of four want it


def test_a_class_within_its_share_is_left_alone() -> None:
    """Half of the endpoints hold what half of the requests are about."""
    cost = LMetricCost(window_requests=4)
    for _ in range(10):
        assert ask(cost, look_at([0, 1], [2, 2, 1, 1])) == 0
        ask(cost, look_at([], [2, 2, 1, 1], prompt=2))


def test_a_streak_ends_when_holders_are_no_longer_cheapest() -> None:
    cost = LMetricCost()
    assert ask(cost, look_at([0], [2, 1, 1, 1])) == 0
    assert ask(cost, look_at([0], [1000, 0, 0, 0])) == 1
    assert ask(cost, look_at([0], [2, 1, 1, 1])) == 0


@pytest.mark.parametrize("holders", [[], [0, 1, 2, 3]], ids=["nobody", "everybody"])
def test_where_nobody_or_everybody_holds_the_class_nothing_is_hot(holders: list[int]) -> None:
    cost = LMetricCost()
    assert {ask(cost, look_at(holders, [0, 1, 1, 1])) for _ in range(10)} == {0}


def test_the_guard_can_be_switched_off() -> None:
    cost = LMetricCost(hotspot_detection=False)
    assert {ask(cost, look_at([0], [2, 1, 1, 1])) for _ in range(10)} == {0}


def test_asking_what_a_request_would_cost_leaves_no_trace() -> None:
    cost, look = LMetricCost(), look_at([0], [2, 1, 1, 1])
    asked = {int(np.argmin(cost.cost(chat(), look))) for _ in range(10)}
    place(cost, chat(), look.pool, 0)  # placed without having been asked about, as under overload
    assert asked == {0}
    assert ask(cost, look) == 0


class Reference:
    """The paper's two phases, written down plainly: all classes of the window, counted anew each time."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.seen: list[int] = []
        self.streaks: dict[int, int] = {}

    def left_out(self, kind: int, holders: int, others: int, *, holder_is_cheapest: bool) -> bool:
        self.seen = [*self.seen, kind][-self.window :]
        self.streaks = {one: streak for one, streak in self.streaks.items() if one in self.seen}
        share = self.seen.count(kind) / len(self.seen)
        alarmed = holders > 0 and others > 0 and share * others > (1 - share) * holders + 1e-9
        self.streaks[kind] = self.streaks.get(kind, 0) + 1 if alarmed and holder_is_cheapest else 0
        return self.streaks[kind] > 0 and self.streaks[kind] >= 2 * holders


@given(
    window=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.booleans()), max_size=40),
)
def test_any_sequence_is_guarded_as_by_the_reference(window: int, steps: list[tuple[int, int, bool]]) -> None:
    cost, reference = LMetricCost(window_requests=window), Reference(window)
    for kind, holders, busy in steps:
        requests = [5000.0 if busy and row < holders else 1.0 for row in range(4)]
        look = look_at(range(holders), requests, kind)
        cheapest = int(np.argmin(LMetricCost(hotspot_detection=False).cost(chat(), look)))
        left_out = reference.left_out(kind, holders, 4 - holders, holder_is_cheapest=cheapest < holders)
        assert ask(cost, look) == (holders if left_out else cheapest)


@pytest.mark.parametrize("key", ["class_prefix_blocks", "window_requests"])
def test_parameters_out_of_range_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is 0; it must be more than 0"):
        LMetricCost(**{key: 0})

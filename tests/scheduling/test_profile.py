import numpy as np
import pytest

from epp.requests import InferenceRequest
from epp.scheduling import MaxScorePicker, Profile, Slot, View, Weighted
from tests.scheduling.scene import pool_of, request, view_of


class Keep:
    def __init__(self, *kept: bool) -> None:
        self.kept = kept

    def keep(self, request: InferenceRequest, view: View) -> object:
        return np.array([self.kept[row] for row in view.rows])


class Score:
    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores)

    def score(self, request: InferenceRequest, view: View) -> object:
        return self.scores[view.rows]


class Costs(Score):
    def cost(self, request: InferenceRequest, view: View) -> object:
        return self.scores[view.rows]


class Broken:
    """Fails in every role, each time in the way it was made for."""

    def __init__(self, result: object) -> None:
        self.result = result

    def _fail(self, *_: object) -> object:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    keep = score = cost = pick = _fail


class Faults:
    def __init__(self) -> None:
        self.failed: list[str] = []
        self.slow: list[tuple[str, bool]] = []

    def plugin_failed(self, name: str, error: Exception) -> None:
        self.failed.append(name)

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        self.slow.append((name, switched_off))


BEST = Slot("best", MaxScorePicker())


def test_filters_narrow_what_scorers_and_the_picker_see() -> None:
    profile = Profile(
        "p",
        filters=[Slot("f", Keep(True, True, False, True)), Slot("g", Keep(False, True, True, True))],
        scorers=[Weighted("s", Score(0.9, 0.1, 1.0, 0.5))],
        picker=BEST,
    )
    view = view_of(pool_of(4))
    assert profile.run(request(), view).tolist() == [3]
    verdicts = {one.address[-6]: one.rejected_by for one in view.trace.explain().candidates}
    assert verdicts == {"1": "g", "2": None, "3": "f", "4": None}


def test_scores_are_clipped_weighted_and_added() -> None:
    profile = Profile(
        "p", scorers=[Weighted("a", Score(5.0, 0.4), weight=1), Weighted("b", Score(-1.0, 0.5), weight=2)], picker=BEST
    )
    view = view_of(pool_of(2))
    assert profile.run(request(), view).tolist() == [1]
    totals = {one.address[-6]: one.total for one in view.trace.explain().candidates}
    assert totals == pytest.approx({"1": 1.0, "2": 1.4})


def test_the_lowest_cost_wins() -> None:
    profile = Profile("p", cost=Slot("c", Costs(3.0, 1.0, 2.0)), picker=Slot("best", MaxScorePicker(2)))
    assert profile.run(request(), view_of(pool_of(3))).tolist() == [1, 2]


def test_filters_may_leave_none() -> None:
    profile = Profile("p", filters=[Slot("f", Keep(False, False))], picker=BEST)
    assert profile.run(request(), view_of(pool_of(2))).tolist() == []


FAULTS = {
    "raises": RuntimeError("no"),
    "wrong size": np.ones(7),
    "NaN": np.array([1.0, np.nan, 0.0]),
    "no numbers": ["a", "b", "c"],
    "nothing": None,
}


@pytest.mark.parametrize("result", FAULTS.values(), ids=FAULTS)
def test_a_failing_plugin_is_neutral_and_reported(result: object) -> None:
    faults = Faults()
    profile = Profile(
        "p",
        filters=[Slot("filter", Broken(result))],
        scorers=[Weighted("scorer", Broken(result)), Weighted("good", Score(0.1, 0.2, 0.9))],
        picker=Slot("picker", Broken(result)),
        faults=faults,
    )
    assert profile.run(request(), view_of(pool_of(3))).tolist() == [2]
    assert set(faults.failed) >= {"scorer", "picker"}


def test_a_failing_cost_gives_way_to_the_least_loaded() -> None:
    profile = Profile("p", cost=Slot("c", Broken(RuntimeError())), picker=BEST, faults=Faults())
    assert profile.run(request(), view_of(pool_of(3, requests=[4, 1, 2]))).tolist() == [1]


def test_a_plugin_that_is_slow_again_and_again_is_switched_off() -> None:
    ticks = iter(range(1000))
    faults = Faults()
    slow = Weighted("slow", Score(1.0, 0.0))
    profile = Profile(
        "p", scorers=[slow], picker=BEST, faults=faults, stopwatch=lambda: next(ticks), slow_s=0.5, slow_calls_allowed=3
    )
    for _ in range(5):
        profile.run(request(), view_of(pool_of(2)))
    assert [entry for entry in faults.slow if entry[0] == "slow"] == [("slow", False), ("slow", False), ("slow", True)]


def test_a_plugin_in_two_places_hears_of_a_placement_once() -> None:
    class Both(Keep, Score):
        def __init__(self) -> None:
            Keep.__init__(self, True)

        def placed(self, request: object, placement: object, now: float) -> None: ...

    both = Both()
    profile = Profile("p", filters=[Slot("x", both)], scorers=[Weighted("x", both)], picker=BEST)
    assert len(profile.placed_hooks) == 1

import numpy as np
import pytest

from epp.scheduling import MaxScorePicker, Profile, Slot, Weighted
from epp.scheduling.plugins.catalog import Kind, kinds_of
from tests.scheduling.plugins.contract import chat, check_filter, check_scorer, place, placement, pool_with, view
from tests.scheduling.plugins.example_plugin import OnePerClient, SpareMemory


def test_the_example_runs_inside_a_profile() -> None:
    pool = pool_with(3, capacity_tokens=[10_000, 10_000, np.inf], kv_tokens=[9_000, 1_000, 0])
    fair, best = OnePerClient(), Slot("best", MaxScorePicker())
    profile = Profile("default", filters=[Slot("fair", fair)], scorers=[Weighted("memory", SpareMemory())], picker=best)
    request = chat({"x-client": "ann"})
    assert profile.run(request, view(pool)).tolist() == [1]
    for _, hook in profile.placed_hooks:
        assert hook.placed(request, placement(pool, 1), 0.0) == {"x-placed-for": "ann"}
    assert profile.run(request, view(pool, now=5.0)).tolist() == [2]
    assert profile.run(request, view(pool, now=11.0)).tolist() == [1]
    assert profile.run(chat({"x-client": "bob"}), view(pool, now=5.0)).tolist() == [1]


def test_the_example_keeps_to_the_contract() -> None:
    check_scorer(SpareMemory)
    check_filter(OnePerClient)
    assert kinds_of(SpareMemory) == {Kind.SCORER}
    assert kinds_of(OnePerClient) == {Kind.FILTER, Kind.HOOK}


def test_the_example_forgets_and_refuses() -> None:
    plugin, pool = OnePerClient(max_clients=2), pool_with(2)
    for client in "abc":
        place(plugin, chat({"x-client": client}), pool, 0)
    assert plugin.keep(chat({"x-client": "a"}), view(pool)).tolist() == [True, True]
    assert plugin.keep(chat({"x-client": "c"}), view(pool)).tolist() == [False, True]
    with pytest.raises(ValueError, match="seconds is 0"):
        OnePerClient(seconds=0)

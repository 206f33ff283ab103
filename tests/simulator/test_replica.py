"""One simulated picker: the router's answers to calls, and what it makes of news."""

from __future__ import annotations

import numpy as np
import pytest

from epp.commands.policies import load_policy
from epp.endpoints import Scrape
from epp.requests import Usage
from epp.router import RouterSettings
from epp.simulator.replica import PickerReplica
from epp.simulator.simulation import Simulation
from epp.workloads import Call
from tests.simulator.plays import EMBEDDING, call, pool, prepared

SHARED = (5, 1024)


class Picker:
    """A replica in front of two pods."""

    def __init__(self, *calls: Call, lean: bool = False) -> None:
        made, policy = prepared(*calls), load_policy("default")
        profile = policy.make_profile(Simulation(made, pool(2), policy, 1))
        addresses = ("10.0.0.0:8000", "10.0.0.1:8000")
        rng = np.random.default_rng(1)
        settings = RouterSettings(kept_decisions=1)
        self.replica = PickerReplica(made, profile, settings, rng, addresses=addresses, lean=lean)
        self.table = self.replica.router.pool.table
        for pod in (0, 1):
            self.replica.scraped(pod, Scrape(running=0, waiting=0, start_time=0.0), 0.0, 0.0)

    @property
    def books(self) -> list[float]:
        """Requests, tokens to compute, adapters in use, of both pods."""
        columns = self.table.columns
        return [float(one[:2].sum()) for one in (columns.requests, columns.prefill_tokens, columns.adapters_in_use)]


def test_a_call_is_charged_until_its_end_was_heard() -> None:
    picker = Picker(call(0, 640))
    picked = picker.replica.pick(0, 0.0)
    assert picked is not None
    assert picked.cached_tokens == 0
    assert picked.ttft_s > 0
    assert picker.books == pytest.approx([1, 640, 0])
    picker.replica.began(0, 0.7)
    assert picker.books == pytest.approx([1, 0, 0])
    picker.replica.finished(0, Usage(640, 0, 11), 0.8)
    assert picker.books == [0, 0, 0]
    assert picker.replica.router.in_flight == 0


@pytest.mark.parametrize(
    "news",
    [
        lambda replica: replica.answered(0, Usage(640, 0, 11), 1.0),
        lambda replica: replica.answered(0, None, 1.0),
        lambda replica: replica.unreachable(0, 1.0),
        lambda replica: replica.cut_off(0, 1.0),
        lambda replica: replica.turned_away(0, 503, 1.0),
        lambda replica: replica.turned_away(0, 400, 1.0),
    ],
    ids=["answered at once", "ended unseen", "unreachable", "cut off", "busy", "not served"],
)
@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("one", [call(0, 640, adapter="a"), call(0, 640, **EMBEDDING)], ids=["chat", "embedding"])
def test_however_a_call_ends_it_is_off_the_books(news, lean: bool, one: Call) -> None:  # type: ignore[no-untyped-def]
    picker = Picker(one, lean=lean)
    assert picker.replica.pick(0, 0.0) is not None
    news(picker.replica)
    assert picker.books == [0, 0, 0]
    assert picker.replica.router.in_flight == 0


@pytest.mark.parametrize(
    ("news", "is_kept"),
    [
        (lambda replica: replica.answered(0, None, 1.0), True),
        (lambda replica: replica.cut_off(0, 1.0), True),
        (lambda replica: replica.unreachable(0, 1.0), False),
        (lambda replica: replica.turned_away(0, 400, 1.0), False),
    ],
    ids=["answered", "cut off", "unreachable", "not served"],
)
def test_a_prefix_is_remembered_where_it_was_computed(news, is_kept: bool) -> None:  # type: ignore[no-untyped-def]
    picker = Picker(call(0, [SHARED]), call(1, [SHARED]))
    picker.replica.pick(0, 0.0)
    news(picker.replica)
    picked = picker.replica.pick(1, 2.0)
    assert picked is not None
    assert (picked.cached_tokens > 1000) is is_kept


def test_pods_that_fail_again_and_again_are_left_alone() -> None:
    picker = Picker(*(call(n, 640) for n in range(12)))
    for index in range(12):
        picked = picker.replica.pick(index, float(index))
        assert picked is not None
        if picked.pod == 0:
            picker.replica.unreachable(index, index + 0.1)
        else:
            picker.replica.answered(index, None, index + 0.1)
    assert not picker.table.columns.usable[0]


def test_a_pod_that_is_busy_gets_nothing_for_a_moment() -> None:
    picker = Picker(*(call(n, [SHARED]) for n in range(3)))
    first = picker.replica.pick(0, 0.0)
    assert first is not None
    picker.replica.turned_away(0, 503, 0.1)
    assert picker.replica.pick(1, 0.2) is not None
    assert picker.table.columns.request_limit[first.pod] == 0


def test_pages_that_do_not_come_make_a_pod_unusable_until_one_comes() -> None:
    picker = Picker(call(0, 640))
    for n in range(3):
        picker.replica.scraped(1, None, n, n)
    assert list(picker.table.columns.usable[:2]) == [True, False]
    picker.replica.scraped(1, Scrape(running=0, waiting=0, start_time=0.0), 4.0, 4.0)
    assert list(picker.table.columns.usable[:2]) == [True, True]


def test_another_start_time_is_a_lost_cache() -> None:
    picker = Picker(call(0, [SHARED]), call(1, [SHARED]))
    first = picker.replica.pick(0, 0.0)
    assert first is not None
    picker.replica.answered(0, None, 1.0)
    picker.replica.scraped(first.pod, Scrape(running=0, waiting=0, start_time=1.5), 2.0, 2.0)
    second = picker.replica.pick(1, 3.0)
    assert second is not None
    assert second.cached_tokens == 0


def test_what_replies_report_is_learned_unless_they_pass_unseen() -> None:
    seen, lean = (Picker(*(call(n, 640) for n in range(20)), lean=lean) for lean in (False, True))
    for picker, usage in ((seen, Usage(320, 0, 50)), (lean, None)):
        for index in range(20):
            picker.replica.pick(index, float(index))
            picker.replica.began(index, index + 0.4)
            picker.replica.finished(index, usage, index + 0.9)
    known = seen.replica.router.pool.estimates
    assert known.bytes_per_token("sim-model") == pytest.approx(8.0, rel=0.1)
    assert known.output_tokens("sim-model", None) == pytest.approx(50)
    unknown = lean.replica.router.pool.estimates
    assert unknown.bytes_per_token("sim-model") == unknown.DEFAULT_BYTES_PER_TOKEN

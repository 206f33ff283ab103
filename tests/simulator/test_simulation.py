"""A pool in virtual time: what becomes of calls, when, and what pickers hear of it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from epp.commands.policies import load_policy, policy_names
from epp.reports import Failure, Run
from epp.scheduling import Profile, Slot
from epp.simulator import Incident, IncidentKind, PickerSight, Policy, Scenario, Simulation
from epp.workloads import Call, Workload
from tests.simulator.plays import EMBEDDING, EXACT, call, failures, incident, play, pool, simulation, spread, to_pod
from tests.simulator.plays import workload as work_of

FAIL, RESTART, SPEED = IncidentKind.FAIL, IncidentKind.RESTART, IncidentKind.SPEED

LATE = call(120.0, 64)
"""Keeps a simulation going until all that was before it has been heard."""


def same(one: Run, other: Run) -> bool:
    """All figures of all calls."""
    names = ("due_s", "pod", "output_tokens", "cached_tokens", "ttft_s", "e2e_s", "predicted_cached_tokens")
    return one.duration_s == other.duration_s and all(
        np.array_equal(getattr(one.calls, name), getattr(other.calls, name), equal_nan=True) for name in names
    )


# Times


def test_a_call_alone_takes_what_its_engine_takes() -> None:
    run = play(work_of(call(1.0, 640, 11)), pool(), to_pod(0))
    assert run.calls.due_s[0] == 1.0
    assert run.calls.ttft_s[0] == pytest.approx(0.65)
    assert run.calls.e2e_s[0] == pytest.approx(0.75)
    assert run.duration_s == pytest.approx(0.75)


def test_a_pod_of_twice_the_speed_takes_half_the_time() -> None:
    run = play(work_of(call(0.0, 640, 11)), pool(speeds=[1.0, 2.0]), to_pod(1))
    assert run.calls.e2e_s[0] == pytest.approx(0.375)


def test_latency_counts_from_the_arrival_and_not_from_when_the_picker_had_time() -> None:
    sight = replace(EXACT, decision_s=0.2)
    run = play(work_of(*(call(n * 1e-6, 640, 11) for n in range(3))), pool(3, sight=sight), load_policy("round-robin"))
    assert sorted(run.calls.ttft_s) == pytest.approx([0.85, 1.05, 1.25], abs=1e-5)


def test_long_prompts_keep_the_picker_for_longer() -> None:
    sight = replace(EXACT, decision_per_mb_s=1.0)
    run = play(work_of(call(0.0, 640, 11)), pool(sight=sight), to_pod(0))
    assert run.calls.ttft_s[0] == pytest.approx(0.65 + 640 * 4 / 1e6)


def test_a_reply_that_does_not_stream_has_its_first_token_at_its_end() -> None:
    run = play(work_of(call(0.0, 640, 11, stream=False), call(5.0, 640, **EMBEDDING)), pool(), to_pod(0))
    assert run.calls.ttft_s[0] == run.calls.e2e_s[0] == pytest.approx(0.75)
    assert run.calls.ttft_s[1] == run.calls.e2e_s[1] == pytest.approx(0.65)
    assert list(run.calls.output_tokens) == [11, 0]


def test_a_call_of_a_session_comes_its_pause_after_the_end_of_the_last_one() -> None:
    run = play(work_of(call(1.0, 640, 11), call(2.5, 640, 11, after=0)), pool(), to_pod(0))
    assert run.calls.due_s[1] == pytest.approx(1.75 + 2.5)


def test_a_session_goes_on_after_a_call_that_failed() -> None:
    run = play(work_of(call(1.0, 8200, 11), call(2.5, 640, 11, after=0)), pool(), to_pod(0))
    assert failures(run) == [Failure.STATUS, Failure.NONE]
    assert run.calls.due_s[1] == pytest.approx(3.5)


# Hits


def test_a_prompt_that_came_before_is_found_and_was_expected() -> None:
    shared = [(7, 640)]
    run = play(work_of(call(0.0, shared), call(5.0, shared)), pool(), to_pod(0))
    assert list(run.calls.cached_tokens) == [0, 624]  # the last block is computed again, to get a token
    assert run.calls.predicted_cached_tokens[1] == pytest.approx(640)


def test_what_the_picker_expects_of_the_first_token_is_learned() -> None:
    run = play(spread(60, every_s=2.0), pool(2), load_policy("round-robin"))
    assert run.calls.predicted_ttft_s[-1] == pytest.approx(run.calls.ttft_s[-1], rel=0.25)


# Failures: each call ends once, and the picker hears of it


def test_a_dead_pod_loses_what_it_had_and_refuses_what_comes() -> None:
    calls = work_of(call(0.0, 640, 1000), call(0.5, 640, 11), call(3.0, 640, 11), LATE)
    one = simulation(calls, pool(2, incident(1.0, 0, FAIL)), to_pod(0))
    run = one.run()
    assert failures(run) == [Failure.LOST] * 4
    assert np.isnan(run.calls.e2e_s).all()
    assert run.calls.ttft_s[0] == pytest.approx(0.65)  # it had begun
    assert not run.calls.output_tokens.any()
    assert one.replicas[0].router.in_flight == 1, "the late one"


def test_the_picker_takes_a_dead_pod_out_and_serves_with_the_other() -> None:
    run = play(spread(60), pool(2, incident(4.0, 0, FAIL)), load_policy("round-robin"))
    late = run.calls.due_s > 8.0
    assert Failure.LOST in failures(run)
    assert set(run.calls.pod[late]) == {1}
    assert run.calls.ok[late].all()


def test_a_pod_that_restarts_has_lost_its_cache_and_the_picker_knows_it_at_the_next_scrape() -> None:
    shared = [(7, 640)]
    calls = work_of(call(0.0, shared), call(5.0, shared), call(20.0, shared), LATE)
    run = play(calls, pool(1, incident(10.0, 0, RESTART)), to_pod(0))
    assert list(run.calls.cached_tokens[:3]) == [0, 624, 0]
    assert list(run.calls.predicted_cached_tokens[:3]) == pytest.approx([0, 640, 0], abs=20)


def test_until_the_next_scrape_the_picker_believes_in_the_lost_cache() -> None:
    shared = [(7, 640)]
    calls = work_of(call(0.0, shared), call(10.0001, shared))
    seen = replace(EXACT, scrape_interval_s=1000.0)
    run = play(calls, pool(1, incident(10.0, 0, RESTART), sight=seen), to_pod(0))
    assert run.calls.cached_tokens[1] == 0
    assert run.calls.predicted_cached_tokens[1] > 600


@pytest.mark.parametrize(("interval_s", "stale_after_s"), [(0.5, 2.0), (1.0, 2.0), (5.0, 10.0)])
def test_metrics_fade_when_two_pages_are_missing(interval_s: float, stale_after_s: float) -> None:
    world = simulation(spread(2), pool(sight=PickerSight(scrape_interval_s=interval_s)), load_policy("default"))
    assert world.replicas[0].router.settings.pool.freshness.stale_after_s == stale_after_s


def test_a_pod_that_slows_down_takes_longer_from_then_on() -> None:
    calls = work_of(call(0.0, 640, 11), call(20.0, 640, 11))
    run = play(calls, pool(1, incident(10.0, 0, SPEED, 0.5)), to_pod(0))
    assert list(run.calls.e2e_s) == pytest.approx([0.75, 1.5])


@pytest.mark.parametrize(
    ("one", "engine", "failure"),
    [
        (call(0.0, 8190, 11), {}, Failure.STATUS),
        (call(0.0, 640, 11, adapter="french"), {}, Failure.STATUS),
        (call(0.0, 640, 11, adapter="french"), {"max_loras": 1}, Failure.NONE),
        (call(0.0, 8181, 11), {}, Failure.NONE),
    ],
    ids=["longer than the model takes", "an adapter, without LoRA", "an adapter", "as long as the model takes"],
)
def test_servers_refuse_what_they_cannot_compute(one: Call, engine: dict[str, Any], failure: Failure) -> None:
    run = simulation(work_of(one, LATE), pool(1, **engine), to_pod(0))
    assert failures(run.run()) == [failure, Failure.NONE]
    assert run.replicas[0].router.in_flight == 1, "the late one"


def test_a_full_queue_refuses_and_the_picker_goes_elsewhere() -> None:
    calls = work_of(*(call(n * 0.01, 640, 50) for n in range(6)))
    alone = play(calls, pool(2, max_queued_requests=1), to_pod(0))
    assert failures(alone) == [Failure.NONE] + [Failure.BUSY] * 5
    shared = play(calls, pool(2, max_queued_requests=3), load_policy("least-requests"))
    assert failures(shared) == [Failure.NONE] * 6


def test_calls_that_nobody_may_take_are_refused() -> None:
    run = play(work_of(call(0.0, 640), call(1.0, 640)), pool(2), to_pod(5))
    assert failures(run) == [Failure.REFUSED] * 2
    assert list(run.calls.pod) == [-1, -1]


def test_a_run_that_never_ends_is_broken_off() -> None:
    """An answer of hours: five times the last arrival and half an hour is the limit."""
    slow = pool(1, incident(0.1, 0, SPEED, 1e-6))
    run = play(work_of(call(0.0, 640, 11), call(1.0, 640, 11), call(1.0, 640, after=1)), slow, to_pod(0))
    assert failures(run) == [Failure.UNFINISHED] * 3
    assert 1800 < run.duration_s <= 1805
    assert np.isnan(run.calls.due_s[2])


WORLDS = st.builds(
    lambda every_s, pods, incidents, sight, engine: (every_s, pool(pods, *incidents, sight=sight, **engine)),
    st.sampled_from([0.01, 0.1, 1.0]),
    st.just(2),
    st.lists(
        st.builds(
            Incident,
            st.floats(0, 12, allow_subnormal=False),
            st.integers(0, 1),
            st.sampled_from(IncidentKind),
            st.sampled_from([0.3, 2.0]),
        ),
        max_size=4,
    ),
    st.builds(
        PickerSight,
        scrape_interval_s=st.sampled_from([0.5, 5.0]),
        scrape_delay_s=st.sampled_from([0.0, 0.4]),
        reply_delay_s=st.sampled_from([0.0, 0.2]),
        reply_loss=st.sampled_from([0.0, 0.3, 1.0]),
        replicas=st.sampled_from([1, 2]),
        decision_s=st.sampled_from([0.0, 0.05]),
        lean=st.booleans(),
    ),
    st.sampled_from([{}, {"max_queued_requests": 3}, {"max_model_len": 645}, {"max_loras": 1}]),
)


@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(WORLDS, st.sampled_from(["default", "least-requests", "llm-d-legacy", "oracle-marginal"]), st.booleans())
def test_whatever_happens_each_call_ends_once_and_nothing_stays_on_the_books(
    world: tuple[float, Scenario], policy: str, stream: bool
) -> None:
    every_s, scenario = world
    calls = spread(24, every_s, stream=stream).calls
    later = [replace(call(0.2, 640, stream=stream), after=n) for n in range(0, 24, 5)]
    adapters = [call(0.05 + n, 320, 5, adapter="ab"[n % 2], stream=stream) for n in range(4)]
    one = simulation(work_of(*calls, *later, *adapters, LATE), scenario, load_policy(policy))
    run, told = one.run(), one.replicas
    assert Failure.UNFINISHED not in failures(run)
    assert sum(replica.router.in_flight for replica in told) <= 1, "the late one"
    assert sum(replica.router.pool.ledger.open for replica in told) <= 1
    for replica in told:
        columns, in_flight = replica.router.pool.table.columns, replica.router.in_flight
        assert columns.requests.sum() == in_flight
        if not in_flight:
            assert not columns.prefill_tokens.any()
            assert not columns.context_tokens.any()
            alive = [not pod.engine.dead for pod in one.pods]  # the last word of a dead one stays
            assert not columns.adapters_in_use[:2][alive].any()
    answered = run.calls.ok
    assert (run.calls.e2e_s[answered] >= run.calls.ttft_s[answered]).all()
    assert np.isnan(run.calls.e2e_s[~answered]).all()
    assert all(pod.engine.requests == 0 for pod in one.pods)


# What pickers see


class _Notes:
    """Keeps the first endpoint, and notes what the picker believes of it at each decision."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, float]] = []
        """Time, time of the last page, requests that ran by it."""

    def keep(self, request: object, view: Any) -> Any:
        columns = view.pool.table.columns
        self.seen.append((view.now, float(columns.scraped_at[0]), float(columns.running_seen[0])))
        return view.rows == 0


def noting() -> tuple[Policy, list[_Notes]]:
    """A policy, and the notes of each of its replicas."""
    notes: list[_Notes] = []

    def make(_: Simulation) -> Profile:
        notes.append(_Notes())
        return Profile("noting", filters=[Slot("notes", notes[-1])])

    return Policy("noting", make), notes


ONE_A_SECOND = work_of(*(call(float(n), 64, 4000) for n in range(8)))
"""Each runs to the end and longer."""


@pytest.mark.parametrize(("interval_s", "delay_s"), [(0.5, 0.0), (1.0, 0.3), (3.0, 1.0)])
def test_a_picker_sees_pods_as_they_were_when_they_were_asked(interval_s: float, delay_s: float) -> None:
    policy, notes = noting()
    sight = replace(EXACT, scrape_interval_s=interval_s, scrape_delay_s=delay_s)
    play(ONE_A_SECOND, pool(1, sight=sight), policy)
    for now, read_at, running in notes[0].seen:
        shown_at = 0.0 if read_at == 0 else read_at - delay_s
        assert now - delay_s - interval_s <= shown_at or now < interval_s + delay_s
        assert ceil(shown_at - 0.1) <= running <= ceil(shown_at), "a request is in the batch within 0.1 s"


def test_pickers_have_read_every_page_before_the_first_call() -> None:
    policy, notes = noting()
    play(work_of(call(0.0, 64)), pool(1, sight=replace(EXACT, scrape_interval_s=100.0)), policy)
    assert notes[0].seen == [(0.0, 0.0, 0.0)]


def test_pickers_share_nothing() -> None:
    one = simulation(spread(60), pool(2, sight=replace(EXACT, replicas=3)), load_policy("default"))
    run = one.run()
    decided = [next(replica.router._numbers) - 1 for replica in one.replicas]
    assert sum(decided) == 60
    assert min(decided) > 5
    shared = play(spread(60), pool(2), load_policy("default"))
    known = (run.calls.predicted_cached_tokens > 0).sum()
    assert known < (shared.calls.predicted_cached_tokens > 0).sum(), "each has to learn a prefix by itself"


@pytest.mark.parametrize("sight", [replace(EXACT, lean=True), replace(EXACT, reply_loss=1.0)], ids=["lean", "lost"])
def test_who_sees_nothing_of_replies_learns_nothing_of_speed_and_tokens(sight: PickerSight) -> None:
    one = simulation(spread(40, every_s=1.0), pool(2, sight=sight), load_policy("round-robin"))
    run = one.run()
    pool_ = one.replicas[0].router.pool
    assert run.calls.ok.all()
    assert not pool_.table.columns.prefill_rate.any()
    assert not pool_.table.columns.token_interval.any()
    assert pool_.estimates.output_tokens("sim-model", None) == pool_.estimates.DEFAULT_OUTPUT_TOKENS


def test_who_sees_replies_learns_from_them() -> None:
    one = simulation(spread(40, every_s=1.0), pool(2), load_policy("round-robin"))
    one.run()
    columns = one.replicas[0].router.pool.table.columns
    assert columns.prefill_rate[:2] == pytest.approx([1000, 1000], rel=0.1)
    assert columns.token_interval[:2] == pytest.approx([0.01, 0.01], rel=0.01)


def test_news_of_replies_come_late() -> None:
    """The second call is decided before the end of the first one is heard, the third one after it."""
    policy, notes = noting()
    calls = work_of(call(0.0, 640, 11), call(1.0, 64), call(1.3, 64))
    one = simulation(calls, pool(1, sight=replace(EXACT, reply_delay_s=0.5)), policy)
    in_flight: list[int] = []
    notes[0].keep = lambda _, view: (in_flight.append(int(view.requests[0])), view.rows == 0)[1]
    one.run()
    assert in_flight == [0, 1, 1]


# Chance


@pytest.mark.parametrize("name", policy_names())
def test_one_seed_gives_one_run(name: str) -> None:
    work, scenario = spread(40), pool(3, incident(5.0, 1, RESTART), sight=PickerSight(replicas=2, reply_loss=0.2))
    policy = load_policy(name)
    assert same(play(work, scenario, policy, 3), play(work, scenario, policy, 3))
    assert same(play(work, scenario, policy, 3), play(work, scenario, load_policy(name), 3))


def test_seeds_change_whose_turn_it_is_and_when_pods_are_asked_but_not_when_calls_come() -> None:
    work, scenario = spread(40), pool(3, sight=PickerSight(replicas=2))
    one, other = (play(work, scenario, load_policy("default"), seed) for seed in (1, 2))
    assert not same(one, other)
    assert np.array_equal(one.calls.due_s, other.calls.due_s)


# What is told


def test_progress_adds_up() -> None:
    told: list[int] = []
    simulation(spread(150, 0.05, prompt=64), pool(3), load_policy("random")).run(told.append)
    assert sum(told) == 150
    assert len(told) > 1


def test_an_empty_workload_is_an_empty_run() -> None:
    run = play(Workload("nothing", ()), pool(2), load_policy("default"))
    assert len(run.calls) == 0


def test_pods_are_sampled_all_along_but_not_for_ever() -> None:
    """Sessions can go on for much longer than the last arrival that is known beforehand."""
    session = work_of(call(0.0, 64), *(call(60.0, 64, after=n) for n in range(29)))
    timeline = play(session, pool(3), to_pod(0)).timeline
    assert timeline is not None
    assert timeline.running.shape == timeline.kv_usage.shape == (len(timeline.at_s), 3)
    assert 200 < len(timeline.at_s) <= 480
    assert timeline.at_s[0] == 0
    assert timeline.at_s[-1] > 1700


def test_busy_pods_computed_all_the_time() -> None:
    run = play(work_of(call(0.0, 640, 101)), pool(2), to_pod(1))
    assert list(run.busy_s) == pytest.approx([0.0, 1.65])

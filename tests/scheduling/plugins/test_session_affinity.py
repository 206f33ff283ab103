import pytest

from epp.scheduling import MaxScorePicker, Profile, Slot, Weighted
from epp.scheduling.plugins.queue import QueueScorer
from epp.scheduling.plugins.session_affinity import SessionAffinityFilter, SessionAffinityScorer, Strategy
from epp.scheduling.plugins.sessions import SessionIdConfig, SessionIdSource
from tests.scheduling.plugins.contract import chat, kept, place, pool_with, scored, spec, view

STRATEGIES: list[Strategy] = ["encoded_endpoint_header", "session_id"]


def second_request(plugin: SessionAffinityFilter | SessionAffinityScorer, row: int) -> tuple[object, object]:
    """A pool and the request that follows one of the same session that went to `row`."""
    pool = pool_with([spec(number, name=f"pod-{number}") for number in range(3)])
    headers = {"x-session-id": "s"}
    plugin._sessions.home(chat(headers), view(pool))
    reply = place(plugin, chat(headers), pool, row) or {}
    return pool, chat(headers | dict(reply))  # type: ignore[call-overload]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_next_request_of_a_session_is_wanted_where_the_last_went(strategy: Strategy, row: int) -> None:
    scorer = SessionAffinityScorer(strategy)
    pool, request = second_request(scorer, row)
    assert scored(scorer, request, view(pool)) == [float(row == other) for other in range(3)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_filter_keeps_it_there_alone(strategy: Strategy, row: int) -> None:
    plugin = SessionAffinityFilter(strategy)
    pool, request = second_request(plugin, row)
    assert kept(plugin, request, view(pool)) == [row]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_session_without_an_endpoint_prefers_nobody(strategy: Strategy) -> None:
    pool = pool_with(2)
    assert scored(SessionAffinityScorer(strategy), chat(), view(pool)) == [0.0, 0.0]
    assert kept(SessionAffinityFilter(strategy), chat(), view(pool)) == [0, 1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_session_whose_endpoint_is_no_candidate_prefers_nobody(strategy: Strategy) -> None:
    plugin = SessionAffinityFilter(strategy)
    pool, request = second_request(plugin, 1)
    assert kept(plugin, request, view(pool, rows=[0, 2])) == [0, 1]


def test_the_reply_carries_a_token_only_where_the_client_keeps_the_session() -> None:
    pool = pool_with([spec(0, name="pod-0")])
    by_token, by_id = SessionAffinityScorer(), SessionAffinityScorer("session_id")
    for plugin in (by_token, by_id):
        plugin.score(chat({"x-session-id": "s"}), view(pool))
    assert place(by_token, chat(), pool, 0) == {"x-session-token": "ZGVmYXVsdC9wb2QtMA=="}
    assert place(by_id, chat({"x-session-id": "s"}), pool, 0) is None


def test_placements_of_other_profiles_do_not_count() -> None:
    plugin = SessionAffinityFilter("session_id", profile_name="prefill")
    pool, request = second_request(plugin, 1)
    assert kept(plugin, request, view(pool)) == [0, 1, 2]


def test_a_wish_can_be_outweighed() -> None:
    scorer = SessionAffinityScorer("session_id")
    pool, request = second_request(scorer, 1)
    pool.table.columns.waiting_base[:3] = [0, 9, 9]
    for weight, expected in ((0.5, 0), (2.0, 1)):
        scorers = [Weighted("session", scorer, weight=weight), Weighted("queue", QueueScorer())]
        profile = Profile("p", scorers=scorers, picker=Slot("best", MaxScorePicker()))
        assert profile.run(request, view(pool)).tolist() == [expected]


def test_another_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy is 'cookie'; it must be encoded_endpoint_header or session_id"):
        SessionAffinityScorer("cookie")  # type: ignore[arg-type]


def test_it_says_which_sources_can_give_no_id() -> None:
    sources = (SessionIdSource(header="h"), SessionIdSource(attribute="agent-identity"))
    config = SessionIdConfig(sources)
    assert "agent-identity" in SessionAffinityFilter("session_id", session_id_config=config).remarks()[0]
    assert SessionAffinityFilter(session_id_config=config).remarks() == ()
    assert SessionAffinityFilter("session_id").remarks() == ()

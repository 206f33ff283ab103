import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.endpoints import EndpointSpec
from epp.scheduling.plugins.sessions import (
    EncodedEndpointHeaderConfig,
    EndpointTokens,
    SessionBindings,
    SessionIdConfig,
    SessionIdSource,
)
from tests.scheduling.plugins.contract import chat, opaque, pool_with, spec, view


def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_token_is_the_namespace_and_name_as_in_the_go_picker() -> None:
    pool = pool_with([spec(0, name="pod-a"), spec(1, name="pod-b")])
    tokens = EndpointTokens(EncodedEndpointHeaderConfig())
    assert tokens.home(chat(), view(pool)) is None
    assert tokens.placed(chat(), spec(1).address, 0.0) == {"x-session-token": token("default/pod-b")}
    assert tokens.home(chat({"x-session-token": token("default/pod-b")}), view(pool)) == 1


def test_a_token_leads_home_for_every_endpoint_whatever_the_names() -> None:
    specs = [spec(0, name="same"), spec(1, name="same"), spec(2), EndpointSpec("10.9.0.1:80", "same", "other"), spec(4)]
    pool, tokens = pool_with(specs), EndpointTokens(EncodedEndpointHeaderConfig("X-Sticky"))
    tokens.home(chat(), view(pool))
    for row, address in enumerate(pool.table.addresses):
        headers = tokens.placed(chat(), address, 0.0)
        assert headers is not None
        assert tokens.home(chat(dict(headers)), view(pool)) == row
        assert set(headers) == {"x-sticky"}


BAD_TOKENS = {
    "not base64": "???",
    "not text": base64.b64encode(b"\xff\xfe").decode(),
    "no endpoint": token("default/pod-z"),
    "not ASCII": "é",
    "an address": token("10.0.0.1:8000"),
    "endless": token("default/pod-a" * 100_000),
    "padding missing": token("default/pod-a").rstrip("="),
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_what_is_no_token_leads_nowhere(bad: str) -> None:
    pool, tokens = pool_with([spec(0, name="pod-a")]), EndpointTokens(EncodedEndpointHeaderConfig())
    assert tokens.home(chat({"x-session-token": bad}), view(pool)) is None


def test_a_token_cannot_lead_out_of_the_candidates() -> None:
    pool, tokens = pool_with([spec(0, name="a"), spec(1, name="b")]), EndpointTokens(EncodedEndpointHeaderConfig())
    assert tokens.home(chat({"x-session-token": token("default/a")}), view(pool, rows=[1])) is None


def test_tokens_follow_the_pool() -> None:
    pool, tokens = pool_with([spec(0, name="a"), spec(1, name="b")]), EndpointTokens(EncodedEndpointHeaderConfig())
    assert tokens.home(chat({"x-session-token": token("default/b")}), view(pool)) == 1
    pool.replace([spec(0, name="a"), spec(7, name="c")], now=1.0)
    assert tokens.home(chat({"x-session-token": token("default/b")}), view(pool)) is None
    assert tokens.home(chat({"x-session-token": token("default/c")}), view(pool)) == 1
    assert tokens.placed(chat(), spec(1).address, 0.0) is None


def test_an_empty_header_name_means_the_default() -> None:
    assert EncodedEndpointHeaderConfig(" ").name == "x-session-token"


SOURCES = {
    "default header": ((), {"x-session-id": " s "}, True),
    "header in any case": ((SessionIdSource(header="X-Mine"),), {"x-mine": "s"}, True),
    "another header": ((SessionIdSource(header="x-mine"),), {"x-session-id": "s"}, False),
    "blank": ((), {"x-session-id": "  "}, False),
    "cookie": ((SessionIdSource(cookie="sid"),), {"cookie": 'a=1; sid="s"; b=2'}, True),
    "another cookie": ((SessionIdSource(cookie="sid"),), {"cookie": "sid2=s; xsid=s; sid="}, False),
    "attributes give none": (
        (SessionIdSource(attribute="agent-identity"),),
        {"agent-identity": "s", "cookie": "=s"},
        False,
    ),
    "the next source": (
        (SessionIdSource(attribute="a"), SessionIdSource(header="h"), SessionIdSource(cookie="c")),
        {"cookie": "c=s"},
        True,
    ),
}


@pytest.mark.parametrize(("sources", "headers", "found"), SOURCES.values(), ids=SOURCES)
def test_where_the_id_is_looked_for(
    sources: tuple[SessionIdSource, ...], headers: dict[str, str], *, found: bool
) -> None:
    pool, bindings = pool_with(2), SessionBindings(SessionIdConfig(sources))
    bindings.placed(chat(headers), pool.table.addresses[1], 0.0)
    assert bindings.home(chat(headers), view(pool)) == (1 if found else None)
    assert bindings.home(opaque(), view(pool)) is None


@pytest.mark.parametrize(("usable", "home"), [(False, 0), (True, 2)], ids=["bound anew", "still bound"])
def test_a_session_whose_endpoint_is_no_candidate(usable: bool, home: int) -> None:
    """One that fails is given up; one that is busy for a moment is not."""
    pool, bindings, request = pool_with(3), SessionBindings(SessionIdConfig()), chat({"x-session-id": "s"})
    bindings.placed(request, pool.table.addresses[2], 0.0)
    pool.table.columns.usable[2] = usable
    assert bindings.home(request, view(pool, rows=[0, 1])) is None
    bindings.placed(request, pool.table.addresses[0], 0.0)
    pool.table.columns.usable[2] = True
    assert bindings.home(request, view(pool)) == home


def test_a_session_whose_endpoint_was_there_stays_bound_to_it() -> None:
    pool, bindings, request = pool_with(3), SessionBindings(SessionIdConfig()), chat({"x-session-id": "s"})
    bindings.placed(request, pool.table.addresses[2], 0.0)
    assert bindings.home(request, view(pool)) == 2
    bindings.placed(request, pool.table.addresses[0], 0.0)
    assert bindings.home(request, view(pool)) == 2


def test_a_row_s_next_owner_inherits_no_sessions() -> None:
    pool, bindings, request = pool_with(2), SessionBindings(SessionIdConfig()), chat({"x-session-id": "s"})
    bindings.placed(request, pool.table.addresses[1], 0.0)
    pool.replace([spec(0), spec(7)], now=1.0)
    assert bindings.home(request, view(pool)) is None


def test_what_has_expired_is_swept_by_what_comes() -> None:
    pool, bindings = pool_with(1), SessionBindings(SessionIdConfig(eviction_ttl_seconds=10))
    for number in range(100):
        bindings.placed(chat({"x-session-id": f"old {number}"}), pool.table.addresses[0], 0.0)
    for number in range(100):
        bindings.placed(chat({"x-session-id": f"new {number}"}), pool.table.addresses[0], 11.0)
    assert len(bindings) == 100


def test_the_session_that_was_quiet_for_longest_gives_way() -> None:
    pool, bindings = pool_with(1), SessionBindings(SessionIdConfig(), limit=2)
    requests = {name: chat({"x-session-id": name}) for name in "abc"}
    for name in "abac":
        bindings.placed(requests[name], pool.table.addresses[0], 0.0)
    assert [bindings.home(request, view(pool)) for request in requests.values()] == [0, None, 0]


def test_ids_of_any_length_take_the_same_room() -> None:
    pool, bindings, request = pool_with(1), SessionBindings(SessionIdConfig()), chat({"x-session-id": "s" * 10**6})
    bindings.placed(request, pool.table.addresses[0], 0.0)
    assert {len(key) for key in bindings._bindings} == {16}
    assert bindings.home(request, view(pool)) == 0


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.sampled_from([0.0, 1.0, 4.0, 20.0]), st.booleans()),
    min_size=5,
    max_size=60,
)


@given(STEPS, st.integers(1, 4))
def test_bindings_agree_with_a_plain_model(steps: list[tuple[str, int, float, bool]], limit: int) -> None:
    """Each step: a session's request comes after some seconds; the picker follows the session's wish or not."""
    pool = pool_with(4)
    bindings = SessionBindings(SessionIdConfig(eviction_ttl_seconds=10), limit)
    model: dict[str, tuple[int, float]] = {}
    now = 0.0
    for session, choice, passed, follows in steps:
        now += passed
        request = chat({"x-session-id": session})
        bound = model.get(session)
        wish = bound[0] if bound and now - bound[1] <= 10 else None
        assert bindings.home(request, view(pool, now=now)) == wish
        pick = wish if follows and wish is not None else choice
        bindings.placed(request, pool.table.addresses[pick], now)
        if wish is None or pick == wish:
            model.pop(session, None)
            model[session] = pick, now
            while len(model) > limit:
                del model[next(iter(model))]
        assert len(bindings) <= limit


@pytest.mark.parametrize(
    "source", [{}, {"header": "a", "cookie": "b"}, {"header": "a", "attribute": "b"}, {"producer": "p"}]
)
def test_a_source_is_exactly_one_place(source: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one of header, cookie or attribute"):
        SessionIdSource(**source)


@pytest.mark.parametrize("name", ["eviction_ttl_seconds", "eviction_sweep_seconds"])
def test_times_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is 0; it must be more than 0"):
        SessionIdConfig(**{name: 0})

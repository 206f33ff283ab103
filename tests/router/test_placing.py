import json

import pytest

from epp.endpoints import EndpointSpec, Verdict
from epp.exchange import BodyState, EndCause, Observe, Pick, Rejection, ReplyView
from epp.router import STATUS, ModelRewrite, NullObserver, Reason, RouterSettings, TargetSettings, WeightedModel
from epp.scheduling import Profile, Slot, Weighted, default_profile
from epp.scheduling.pickers import MaxScorePicker
from epp.scheduling.plugins.by_label import DecodeFilter
from epp.scheduling.plugins.kv_cache_utilization import KvCacheUtilizationScorer
from epp.scheduling.plugins.queue import QueueScorer
from epp.scheduling.plugins.utilization_filter import Condition, UtilizationFilter
from tests.router.desk import LONG, Desk, address, chat


def test_every_reason_has_a_status() -> None:
    assert set(STATUS) == set(Reason)


def test_a_prompt_goes_where_its_prefix_is() -> None:
    desk = Desk(4)
    first, home = desk.place()
    desk.serve(first)
    for turn in range(5):
        exchange, place = desk.place(chat(LONG + str(turn)))
        assert place == home
        desk.serve(exchange)


def test_decisions_of_the_same_moment_see_each_other() -> None:
    desk = Desk(4)
    places = [desk.place(chat(f"{n} " + LONG))[1] for n in range(4)]
    assert sorted(places) == [address(n) for n in range(1, 5)]


def test_a_busy_holder_of_the_prefix_is_left_for_an_idle_endpoint() -> None:
    desk = Desk(2)
    first, _ = desk.place(chat("short"))
    desk.serve(first)
    for _ in range(30):
        desk.place(chat(LONG))
    assert min(desk.load()) > 5


@pytest.mark.parametrize("path", ["/v1/models", "/anything", "/v1/audio/transcriptions"])
def test_what_is_not_understood_is_placed_by_load(path: str) -> None:
    desk = Desk(2)
    _, busy = desk.place()
    for _ in range(10):
        exchange, place = desk.place(b"\x00\xff", path=path, headers={"content-type": "application/octet-stream"})
        assert place != busy
        desk.end(exchange)


def test_requests_without_a_body_honour_the_subset() -> None:
    desk = Desk(4)
    for _ in range(8):
        _, place = desk.place(b"", path="/v1/models", state=BodyState.ABSENT, subset=(address(3),))
        assert place == address(3)


@pytest.mark.parametrize(
    ("subset", "allowed"),
    {
        "no hint": (None, {1, 2, 3}),
        "ip and port": ((address(2),), {2}),
        "a bare ip means any port": (("10.0.0.3",), {3}),
        "another port is another endpoint": (("10.0.0.1:9999", address(2)), {2}),
        "names that are no addresses": (("pod-1", address(1)), {1}),
    }.values(),
)
def test_subset_hints(subset: tuple[str, ...] | None, allowed: set[int]) -> None:
    desk = Desk(3)
    seen = {desk.place(chat(f"{n} {LONG}"), subset=subset)[1] for n in range(40)}
    assert seen == {address(number) for number in allowed}


@pytest.mark.parametrize("subset", [(), ("10.9.9.9:8000",)], ids=["empty", "matches nothing"])
def test_a_hint_that_allows_nothing_is_503(subset: tuple[str, ...]) -> None:
    _, outcome = Desk(3).ask(subset=subset)
    assert isinstance(outcome, Rejection)
    assert (outcome.status, outcome.reason) == (503, "rejected-no-endpoints")


def test_the_hint_can_be_switched_off() -> None:
    assert isinstance(Desk(1, RouterSettings(use_subset=False)).ask(subset=())[1], Pick)


def test_an_empty_pool_is_503_with_a_hint_to_retry_in_the_dialect_of_the_path() -> None:
    _, outcome = Desk(0).ask()
    assert isinstance(outcome, Rejection)
    assert outcome.status == 503
    assert ("retry-after", "1") in outcome.headers
    assert "error" in json.loads(outcome.body)
    _, anthropic = Desk(0).ask(path="/v1/messages")
    assert isinstance(anthropic, Rejection)
    assert json.loads(anthropic.body)["type"] == "error"


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (BodyState.TOO_LARGE, 413, "rejected-body-too-large"),
        (BodyState.OVER_BUDGET, 503, "rejected-bodies-over-budget"),
    ],
)
def test_bodies_that_could_not_be_taken(state: BodyState, status: int, reason: str) -> None:
    _, outcome = Desk().ask(state=state)
    assert isinstance(outcome, Rejection)
    assert (outcome.status, outcome.reason) == (status, reason)


def test_malformed_json_is_400_and_charges_nothing() -> None:
    desk = Desk()
    _, outcome = desk.ask(b'{"model": "base", "messages": [')
    assert isinstance(outcome, Rejection)
    assert (outcome.status, outcome.reason) == (400, "rejected-malformed")
    assert (desk.load(), desk.router.in_flight) == ([0, 0], 0)


def test_control_headers_end_here_and_only_those_that_came() -> None:
    desk = Desk()
    _, outcome = desk.ask(
        headers={"x-llm-d-inference-objective": "x", "x-slo-ttft-ms": "5", "test-epp-endpoint-selection": "y"}
    )
    assert isinstance(outcome, Pick)
    assert set(outcome.remove_headers) == {"x-llm-d-inference-objective", "x-slo-ttft-ms"}
    assert outcome.set_headers == ()


def test_overloaded_requests_are_placed_by_load_and_let_go() -> None:
    desk = Desk(2)
    _, busy = desk.place()
    _, outcome = desk.ask(chat(), hurried=True, view=ReplyView.NOTHING)
    assert isinstance(outcome, Pick)
    assert outcome.destinations[0] != busy
    assert (outcome.close, outcome.observe) == (True, Observe.NOTHING)


REWRITES = TargetSettings(
    rewrites=(
        ModelRewrite((WeightedModel("fallback"),)),
        ModelRewrite((WeightedModel("new", 3), WeightedModel("old", 1)), models=("alias",)),
    )
)


def test_rewrites_by_rule_exact_before_general_and_by_weight() -> None:
    desk = Desk(1, RouterSettings(targets=REWRITES))
    targets = []
    for _ in range(400):
        _, outcome = desk.ask(chat("hi", model="alias"))
        assert isinstance(outcome, Pick)
        targets.append(json.loads(outcome.body or b"")["model"])
    assert 0.65 < targets.count("new") / 400 < 0.85
    _, outcome = desk.ask(chat("hi", model="other"))
    assert isinstance(outcome, Pick)
    assert json.loads(outcome.body or b"")["model"] == "fallback"


def test_a_rewrite_by_header_wins_and_the_reply_is_given_back_the_clients_name() -> None:
    desk = Desk(1, RouterSettings(targets=REWRITES))
    _, outcome = desk.ask(chat("hi", model="alias"), headers={"x-llm-d-model-name-rewrite": "direct"})
    assert isinstance(outcome, Pick)
    assert json.loads(outcome.body or b"")["model"] == "direct"
    assert "x-llm-d-model-name-rewrite" in outcome.remove_headers
    assert outcome.reply_transform is not None
    assert outcome.reply_transform.feed(b'{"model":"direct"}', end=True) == b'{"model":"alias"}'


def test_without_a_change_of_model_the_body_goes_on_as_it_is() -> None:
    _, outcome = Desk().ask(chat("hi", model="base"))
    assert isinstance(outcome, Pick)
    assert (outcome.body, outcome.reply_transform) == (None, None)


def test_a_cut_body_is_never_rewritten() -> None:
    desk = Desk(1, RouterSettings(targets=REWRITES))
    _, outcome = desk.ask(json.dumps(chat("hi", model="alias")).encode()[:-5], state=BodyState.CUT)
    assert isinstance(outcome, Pick)
    assert outcome.body is None


@pytest.mark.parametrize(
    ("body", "status"),
    [(chat("hi", model="nobody"), 404), ({"messages": []}, 400), (chat("hi", model="base"), None)],
    ids=["unknown", "missing", "known"],
)
def test_models_can_be_required(body: object, status: int | None) -> None:
    strict = TargetSettings(reject_missing_model=True, reject_unknown_model=True)
    desk = Desk(1, RouterSettings(targets=strict))
    desk.models(1, "base")
    _, outcome = desk.ask(body)
    assert (outcome.status if isinstance(outcome, Rejection) else None) == status
    assert isinstance(Desk(1).ask(body)[1], Pick), "by default all are routed"


def test_a_model_that_only_one_endpoint_lists_goes_there() -> None:
    desk = Desk(3)
    desk.models(1, "base")
    desk.models(2, "base", adapters=("ad",))
    desk.models(3, "base")
    for n in range(10):
        exchange, place = desk.place(chat(f"{n}", model="ad"))
        assert place == address(2)
        assert desk.router.decisions[-1].adapter == "ad"
        desk.serve(exchange)


def test_decisions_can_be_explained_afterwards() -> None:
    desk = Desk(3)
    desk.place(subset=(address(1), address(2)), headers={"x-request-id": "r-1"})
    record = desk.router.decisions[-1]
    assert (record.request_id, record.operation.value, record.model) == ("r-1", "chat_completions", "base")
    explained = record.decision.trace.explain()
    assert [one.chosen for one in explained.candidates] == [1, None, None]
    assert {one.address: one.rejected_by for one in explained.candidates}[address(3)] == "subset"
    assert set(explained.candidates[0].terms) == {"wait", "prefill", "decode", "impact"}


def test_decision_headers_are_sent_when_asked_for() -> None:
    desk = Desk(1, RouterSettings(decision_headers=True))
    _, outcome = desk.ask()
    assert isinstance(outcome, Pick)
    assert dict(outcome.reply_headers) == {
        "x-epp-decision-id": desk.router.decisions[-1].id,
        "x-epp-endpoint": address(1),
    }


def test_overloaded_requests_still_go_where_their_model_is_served() -> None:
    desk = Desk(3, RouterSettings(targets=REWRITES))
    desk.models(1, "new")
    desk.models(2, "new", adapters=("ad",))
    desk.models(3, "new")
    for _ in range(10):
        exchange, outcome = desk.ask(chat("hi", model="ad"), hurried=True, headers={"x-llm-d-model-name-rewrite": "ad"})
        assert isinstance(outcome, Pick)
        assert outcome.destinations == (address(2),)
        desk.stop(exchange, EndCause.ABORTED)
    _, rewritten = desk.ask(chat("hi", model="alias"), hurried=True, headers={"x-llm-d-model-name-rewrite": "new"})
    assert isinstance(rewritten, Pick)
    assert json.loads(rewritten.body or b"")["model"] == "new"
    assert desk.router.index.entries == 0, "nothing is hashed in a hurry"


def test_an_overloaded_request_with_a_large_body_is_not_read() -> None:
    desk = Desk(1)
    _, outcome = desk.ask(b"{" + b" " * (2 << 20), hurried=True)
    assert isinstance(outcome, Pick)


@pytest.mark.parametrize(
    ("body", "path"), [(b"\x00\xff", "/v1/audio/transcriptions"), ({"messages": []}, "/v1/chat/completions")]
)
def test_what_names_no_model_cannot_be_rewritten_and_is_not_taken_for_the_target(body: object, path: str) -> None:
    desk = Desk(2, RouterSettings(targets=REWRITES))
    desk.models(1, "fallback")
    desk.models(2, "base")
    places = set()
    for _ in range(20):
        exchange, outcome = desk.ask(body, path=path)
        assert isinstance(outcome, Pick)
        assert outcome.body is None
        assert desk.router.decisions[-1].target_model == ""
        places.add(outcome.destinations[0])
        desk.stop(exchange, EndCause.ABORTED)
    assert len(places) == 2


def test_a_rewrite_header_that_is_no_model_name_is_passed_over() -> None:
    _, outcome = Desk().ask(chat("hi", model="base"), headers={"x-llm-d-model-name-rewrite": "m" * 2000})
    assert isinstance(outcome, Pick)
    assert outcome.body is None


def test_a_refused_request_is_reported_with_its_id() -> None:
    class Observer(NullObserver):
        def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
            seen.append((reason, request_id))

    seen: list[tuple[Reason, str]] = []
    Desk(0, observer=Observer()).ask(headers={"x-request-id": "r" * 500})
    assert seen == [(Reason.NO_ENDPOINTS, "r" * 128)]


def test_decisions_that_nobody_can_ask_for_keep_no_arrays() -> None:
    desk = Desk(3, RouterSettings(kept_decisions=2))
    desk.place()
    oldest = desk.router.decisions[0]
    for _ in range(2):
        desk.place()
    assert [one.terms for one in oldest.decision.trace.explain().candidates] == [{}], "only the pick is left"
    assert len(desk.router.decisions[0].decision.trace.explain().candidates) == 3


def with_roles(desk: Desk, *roles: str) -> None:
    specs = [EndpointSpec(address(n), labels={"llm-d.ai/role": role}) for n, role in enumerate(roles, 1)]
    desk.router.replace_endpoints(specs, desk.now)


def profile_of(*filters: object) -> Profile:
    return Profile(
        "p", filters=[Slot(f"filter {n}", one) for n, one in enumerate(filters)], cost=default_profile().cost
    )


@pytest.mark.parametrize("trouble", ["busy", "new", "not scraped", "ejected"])
def test_an_endpoint_that_filters_leave_alone_is_used_whatever_health_says_of_it(trouble: str) -> None:
    desk = Desk(0, profile=profile_of(DecodeFilter()))
    with_roles(desk, "decode", "prefill", "prefill")
    health, row = desk.router.pool.health, desk.router.pool.table.row_of(address(1))
    assert row is not None
    if trouble != "new":
        desk.wait(100.0)
    for _ in range(4):
        if trouble == "busy":
            health.replied(row, Verdict.BUSY, desk.now)
        elif trouble == "not scraped":
            desk.router.pool.scrape_failed(address(1), now=desk.now)
        elif trouble == "ejected":
            health.replied(row, Verdict.FAILED, desk.now)
    assert {desk.place(chat(f"{n} {LONG}"))[1] for n in range(4)} == {address(1)}


def test_saturation_is_not_relieved_by_what_health_keeps_apart() -> None:
    desk = Desk(2, profile=profile_of(UtilizationFilter((Condition("active-requests", 0),))))
    desk.router.pool.table.columns.usable[0] = False
    desk.place()
    _, outcome = desk.ask()
    assert isinstance(outcome, Rejection)
    assert outcome.status == 429


def test_overloaded_requests_still_obey_filters() -> None:
    desk = Desk(0, profile=profile_of(DecodeFilter()))
    with_roles(desk, "prefill", "decode", "prefill")
    for _ in range(10):
        _, outcome = desk.ask(hurried=True)
        assert isinstance(outcome, Pick)
        assert outcome.destinations == (address(2),)


def test_idle_endpoints_of_one_scrape_are_not_all_the_same_to_the_go_pickers_profile() -> None:
    scorers = [Weighted("queue", QueueScorer(), weight=2.0), Weighted("kv", KvCacheUtilizationScorer(), weight=2.0)]
    desk = Desk(0, profile=Profile("p", scorers=scorers, picker=Slot("best", MaxScorePicker())))
    desk.endpoints(1, 2, 3, 4)
    desk.wait(100.0)
    for number, usage in enumerate((0.10, 0.11, 0.12, 0.13), 1):
        desk.scrape(number, running=0, waiting=0, kv_usage=usage, capacity_tokens=400_000)
    for n in range(100):
        desk.place(chat(f"{n} {LONG}"))
    assert max(desk.load()) < 35


def test_a_hint_that_is_sent_again_sees_endpoints_that_came_since() -> None:
    desk = Desk(1)
    assert desk.place(subset=(address(1), address(2)))[1] == address(1)
    desk.endpoints(2)
    assert desk.place(subset=(address(1), address(2)))[1] == address(2)

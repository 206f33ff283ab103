import json
import math
from collections import deque

import numpy as np
import pytest

from epp.endpoints import EndpointSpec
from epp.exchange import BodyState, EndCause, Headers, RequestReady
from epp.router import DecisionRecord, ModelRewrite, RouterSettings, TargetSettings, WeightedModel
from epp.scheduling import Profile, Slot
from epp.scheduling.plugins.by_label import ByLabelFilter
from epp.telemetry.clock import Clock
from epp.telemetry.debug_views import (
    decision_view,
    decisions_view,
    endpoints_view,
    find_decision,
    preview_view,
    to_json,
)
from epp.telemetry.schedule import Kind
from epp.telemetry.scraper import EndpointStatistics, ProbeStatistics
from tests.router.desk import Desk, address, chat


def clock_of(desk: Desk) -> Clock:
    """The desk's second 1000 is 2023-11-14 22:13:20."""
    return Clock(lambda: desk.now, lambda: desk.now - 1000 + 1_700_000_000)


def through_json(view: object) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(to_json(view))
    return parsed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}, b'{"a":null,"b":null,"c":null,"d":1.5}'),
        ({"\ud800": ["\udc80", {"x": "ok\ud800"}], "n": (1, None, True)}, b'{"?":["?",{"x":"ok?"}],"n":[1,null,true]}'),
    ],
)
def test_all_is_json(value: object, text: bytes) -> None:
    assert to_json(value) == text


def test_an_endpoint_shows_all_that_is_known_of_it() -> None:
    desk = Desk(0)
    specs = [EndpointSpec(address(1), name="pod-1", labels={"zone": "a"}), EndpointSpec(address(2))]
    desk.router.replace_endpoints(specs, desk.now)
    desk.scrape(1, running=2.0, waiting=1.0, kv_usage=0.5, adapters=frozenset({"lora"}))
    desk.models(1, "base", adapters=("lora",))
    desk.wait(2)
    probes = {Kind.METRICS: ProbeStatistics(1001.0, 1, 1004.0, "timed out")}
    scraping = {address(1): EndpointStatistics(specs[0], probes)}
    view = through_json(endpoints_view(desk.router, clock_of(desk), scraping))
    one, two = view["endpoints"]  # type: ignore[misc]
    assert (one["address"], one["name"], one["labels"]) == (address(1), "pod-1", {"zone": "a"})
    assert (one["state"], one["scrape_age_s"], one["adapters"]) == ("slow start", 2.0, ["lora"])
    assert one["columns"]["running_seen"] == 2.0
    assert one["columns"]["usable"] is True
    assert (one["models"], two["models"]) == (["base", "lora"], None)
    assert one["probes"]["metrics"] == {
        "last_ok": "2023-11-14T22:13:21.000Z",
        "failures": 1,
        "next": "2023-11-14T22:13:24.000Z",
        "last_error": "timed out",
    }
    assert (two["scrape_age_s"], two["columns"]["scraped_at"], two["probes"]) == (None, None, {})
    assert set(view["units"]) == set(one["columns"])  # type: ignore[call-overload]


@pytest.mark.parametrize(("name", "count"), [("", 2), (address(1), 1), ("pod-2", 1), ("10.0.0.1", 0)])
def test_one_endpoint_can_be_asked_for(name: str, count: int) -> None:
    desk = Desk(0)
    desk.router.replace_endpoints([EndpointSpec(address(1)), EndpointSpec(address(2), name="pod-2")], desk.now)
    assert len(endpoints_view(desk.router, clock_of(desk), {}, endpoint=name)["endpoints"]) == count  # type: ignore[arg-type]


def test_models_are_those_that_an_endpoint_lists() -> None:
    desk = Desk(2)
    desk.models(1, "a")
    desk.models(2, "b")
    view = endpoints_view(desk.router, clock_of(desk), {})
    assert [one["models"] for one in view["endpoints"]] == [["a"], ["b"]]  # type: ignore[attr-defined]


def test_a_decision_tells_what_was_asked_and_why_and_what_became_of_it() -> None:
    desk = Desk(2)
    exchange, endpoint = desk.place(headers={"x-request-id": "abc"})
    desk.wait(0.5)
    desk.serve(exchange, prompt=2000, cached=64, output=10)
    view = through_json(decision_view(desk.router.decisions[0], clock_of(desk)))
    assert (view["id"], view["request_id"], view["at"]) == ("epp-1", "abc", "2023-11-14T22:13:20.000Z")
    request, reply = view["request"], view["reply"]
    assert (request["operation"], request["model"], request["stream"]) == ("chat_completions", "base", True)  # type: ignore[index]
    assert (reply["status"], reply["ended"], reply["cached_tokens"]) == (200, "good", 64)  # type: ignore[index]
    assert view["predicted"]["time_to_first_token_s"] == pytest.approx(0.306, abs=0.01)  # type: ignore[index]
    assert view["predicted"]["cached_tokens"] == 0  # type: ignore[index]
    first, second = view["explanation"]["candidates"]  # type: ignore[index]
    assert (first["address"], first["chosen"], second["chosen"]) == (endpoint, 1, None)
    assert {"wait", "prefill", "decode", "impact"} <= set(first["terms"])
    assert "quick brown fox" not in json.dumps(view)


def test_a_decision_under_way_has_no_end() -> None:
    desk = Desk(1)
    desk.place()
    reply = decision_view(desk.router.decisions[0], clock_of(desk))["reply"]
    assert set(reply.values()) == {None}  # type: ignore[attr-defined]


def test_the_last_decisions_come_newest_first_and_can_be_chosen() -> None:
    desk = Desk(2)
    went = [desk.place(chat(model=model))[1] for model in ("a", "b", "a")]

    def ids(**query: object) -> list[str]:
        view = decisions_view(desk.router, clock_of(desk), **({"last": 10} | query))  # type: ignore[arg-type]
        return [one["id"] for one in view["decisions"]]  # type: ignore[attr-defined]

    assert ids() == ["epp-3", "epp-2", "epp-1"]
    assert ids(last=2) == ["epp-3", "epp-2"]
    assert ids(model="a") == ["epp-3", "epp-1"]
    assert ids(endpoint=went[1]) == [f"epp-{n + 1}" for n in (2, 1, 0) if went[n] == went[1]]
    assert ids(endpoint="nobody") == []


def test_a_decision_is_found_by_its_id_before_a_request_id_that_a_client_chose() -> None:
    desk = Desk(1)
    for name in ("x", "epp-1", "x"):
        desk.place(headers={"x-request-id": name})
    decisions = desk.router.decisions
    assert [found and found.id for found in (find_decision(decisions, n) for n in ("epp-1", "x", "", "no"))] == [
        "epp-1",
        "epp-3",
        None,
        None,
    ]
    assert find_decision(deque[DecisionRecord](), "x") is None


def test_hostile_names_do_not_break_the_pages() -> None:
    desk = Desk(1)
    body = b'{"model": "\\ud800<script>\\u0000", "messages": []}'
    desk.place(body, headers={"x-request-id": "\udcff\n<script>"})
    view = through_json(decisions_view(desk.router, clock_of(desk), last=1))
    assert view["decisions"][0]["request_id"] == "?\n<script>"  # type: ignore[index]


def ready(body: object, **more: object) -> RequestReady:
    headers = Headers.of({":path": "/v1/chat/completions", "content-type": "application/json"})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RequestReady(headers, data, BodyState.COMPLETE, **more)  # type: ignore[arg-type]


def state_of(desk: Desk) -> object:
    router, columns = desk.router, desk.router.pool.table.columns
    names = ("requests", "prefill_tokens", "context_tokens", "cache_trust", "usable")
    return (
        router.in_flight,
        len(router.decisions),
        router.index.statistics(),
        router.pool.ledger.open,
        router._rng.bit_generator.state,
        [np.array(getattr(columns, name)).tolist() for name in names],
    )


def test_a_preview_says_what_the_router_would_do_and_changes_nothing() -> None:
    desk = Desk(4)
    exchange, _ = desk.place()
    desk.serve(exchange)
    desk.place(chat("something else " * 500))
    before = state_of(desk)
    asked = ready(chat())
    outcome = desk.router.preview(asked, np.random.default_rng(1), desk.now)
    assert state_of(desk) == before
    view = through_json(preview_view(asked, outcome))
    assert view["explanation"]["candidates"][0]["chosen"] == 1  # type: ignore[index]
    assert view["picked"] == [desk.place()[1]]


@pytest.mark.parametrize(
    ("request_", "endpoints", "rejected"),
    [
        (ready(b"{"), 2, "rejected-malformed"),
        (ready(chat()), 0, "rejected-no-endpoints"),
        (ready(chat(), subset=("10.9.9.9",)), 2, "rejected-no-endpoints"),
        (ready({"messages": []}), 2, "rejected-model-missing"),
    ],
)
def test_a_preview_says_why_a_request_would_be_refused(request_: RequestReady, endpoints: int, rejected: str) -> None:
    desk = Desk(endpoints, RouterSettings(targets=TargetSettings(reject_missing_model=True)))
    outcome = desk.router.preview(request_, np.random.default_rng(1), desk.now)
    view = through_json(preview_view(request_, outcome))
    assert view["rejected"] == rejected


def test_a_refusing_preview_says_what_took_each_endpoint_out() -> None:
    profile = Profile("p", filters=[Slot("roles", ByLabelFilter("llm-d.ai/role", ("decode",)))])
    desk = Desk(3, profile=profile)
    outcome = desk.router.preview(ready(chat(), subset=(address(1), address(2))), np.random.default_rng(1), desk.now)
    view = through_json(preview_view(ready(chat()), outcome))
    assert view["message"] == "no model server passes the filters of this gateway's scheduling profile"
    candidates = view["explanation"]["candidates"]  # type: ignore[index]
    assert {one["address"]: one["rejected_by"] for one in candidates} == {
        address(1): "roles",
        address(2): "roles",
        address(3): "subset",
    }


def test_a_preview_keeps_to_subset_and_models_and_rewrites() -> None:
    rules = (ModelRewrite((WeightedModel("b"),), ("alias",)),)
    desk = Desk(3, RouterSettings(targets=TargetSettings(rewrites=rules)))
    desk.models(1, "a")
    for number in (2, 3):
        desk.models(number, "b")
    request = ready(chat(model="alias"), subset=("10.0.0.1", "10.0.0.3"))
    view = preview_view(request, desk.router.preview(request, np.random.default_rng(1), desk.now))
    assert (view["picked"], view["target_model"]) == ([address(3)], "b")


def test_an_end_that_was_not_seen_is_shown_as_unknown() -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    desk.stop(exchange, EndCause.ABORTED)
    view = decision_view(desk.router.decisions[0], clock_of(desk))
    assert view["reply"]["ended"] == "unknown"  # type: ignore[index]

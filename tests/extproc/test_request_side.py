"""What is taken over of request headers, and what is left of a body when the exchange is over."""

import pytest

from epp.exchange import BodyState, ReplyView, RequestReady
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings
from tests.extproc.transcript import Proxy


def ready_of(*fields: tuple[bytes, bytes, bytes]) -> RequestReady:
    """What the router gets of headers, each with its `raw_value` and its `value`."""
    message = wire.ProcessingRequest()
    for key, raw_value, value in fields:
        header = message.request_headers.headers.headers.add()
        header.key, header.raw_value, header.value = key, raw_value, value
    message.request_headers.end_of_stream = True
    (ready,) = Exchange(ExchangeSettings(), BodyBudget(1)).receive(message)
    assert isinstance(ready, RequestReady)
    return ready


def test_values_are_read_from_either_field() -> None:
    headers = ready_of((b":path", b"/v1", b""), (b"x-nginx", b"", b"in value"), (b"x-both", b"raw", b"text")).headers
    assert [headers.get(name) for name in (":path", "x-nginx", "x-both")] == ["/v1", "in value", "raw"]


def test_duplicates_are_kept_and_the_first_counts_also_when_it_is_empty() -> None:
    headers = ready_of((b"cookie", b"a=1", b""), (b"cookie", b"b=2", b""), (b"x", b"", b""), (b"x", b"1", b"")).headers
    assert (headers.get("cookie"), headers.get("x")) == ("a=1", "")
    assert list(headers.items()) == [("cookie", "a=1"), ("cookie", "b=2"), ("x", ""), ("x", "1")]


def test_values_that_are_no_text_come_back_as_they_were() -> None:
    value = ready_of((b"x", b"\xff\x00", b"")).headers.get("x")
    assert value is not None
    assert value.encode("utf-8", "surrogateescape") == b"\xff\x00"


@pytest.mark.parametrize("status", ["", "2x0", "-200", "9" * 5000, "²00"])
def test_a_status_that_is_none_is_read_as_zero(status: str) -> None:
    exchange = Exchange(ExchangeSettings(), BodyBudget(1))
    (event,) = exchange.receive(Proxy().message(["reply-headers", status]))
    assert event.status == 0


HURRIED = {
    "in a hurry": (ExchangeSettings(), True),
    "close after pick": (ExchangeSettings(close_after_pick=True), False),
    "a gateway without a reply phase": (ExchangeSettings(reply_phase=False), False),
}


@pytest.mark.parametrize(("settings", "hurried"), HURRIED.values(), ids=HURRIED)
@pytest.mark.parametrize("mode", ["duplex", "none"])
def test_the_router_is_told_that_no_reply_will_be_seen(settings: ExchangeSettings, hurried: bool, mode: str) -> None:
    exchange = Exchange(settings, BodyBudget(1), hurried=hurried)
    (ready,) = exchange.receive(Proxy().message(["headers", f"duplex/{mode}", "eos"]))
    assert (ready.reply_view, ready.hurried) == (ReplyView.NOTHING, hurried)


@pytest.mark.parametrize("piece", [0, 1, 30])
def test_a_body_that_is_refused_leaves_nothing_in_the_budget(piece: int) -> None:
    budget = BodyBudget(100)
    exchange = Exchange(ExchangeSettings(max_body_bytes=40), budget)
    proxy = Proxy()
    exchange.receive(proxy.message(["headers", "duplex/duplex"]))
    exchange.receive(proxy.message(["body", "30"]))
    steps = exchange.receive(proxy.message(["body", str(piece)]))
    steps += exchange.receive(proxy.message(["body", "11"]))
    (ready,) = steps
    assert (ready.body_state, ready.body, budget.held_bytes) == (BodyState.TOO_LARGE, b"", 0)

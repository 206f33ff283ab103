"""Arbitrary message orders and chunkings: bytes in equal bytes out, at most one pick, exactly one release."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from epp.exchange import (
    BodyState,
    EndCause,
    ExchangeId,
    Pick,
    Rejection,
    ReplyEnd,
    ReplyEvent,
    ReplyHeaders,
    RequestReady,
)
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings, ProxyProtocolError
from epp.router import DecisionRecord, NullObserver, Phases
from epp.scheduling import Outcome
from tests.extproc.transcript import Proxy
from tests.router.desk import Desk

modes = st.sampled_from(["duplex", "buffered", "partial", "streamed", "none"])
ORDER = {
    "request": ("request_headers", "request_body", "request_trailers"),
    "reply": ("response_headers", "response_body", "response_trailers"),
}
NAME = ExchangeId(1)
LONGER_THAN_ANY_CHARGE_S = 3 * 3600.0


class Books(NullObserver):
    """Counts placements and their ends."""

    placements = ends = 0

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        self.placements += 1

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        self.ends += 1


class ExchangeMachine(RuleBasedStateMachine):
    """A proxy that does whatever it likes in any order, and a router whose answers come when they come."""

    @initialize(
        request=modes,
        reply=modes,
        declared=st.booleans(),
        limit=st.sampled_from([50, 1 << 20]),
        close=st.booleans(),
        reply_phase=st.booleans(),
        hurried=st.booleans(),
    )
    def start(
        self, request: str, reply: str, declared: bool, limit: int, close: bool, reply_phase: bool, hurried: bool
    ) -> None:
        self.budget = BodyBudget(1 << 20)
        settings = ExchangeSettings(max_body_bytes=limit, close_after_pick=close, reply_phase=reply_phase)
        self.exchange = Exchange(settings, self.budget, hurried=hurried)
        self.books = Books()
        self.desk = Desk(2, observer=self.books)
        self.modes = f"{request}/{reply}" if declared else ""
        self.request_mode = request if declared else "duplex"
        self.reply_mode = reply if declared else "duplex"
        self.proxy = Proxy()
        self.ready: list[RequestReady] = []
        self.outcome: Pick | Rejection | None = None
        self.picks = self.reply_ends = self.immediate = 0
        self.reply_began = False
        self.order: dict[str, list[str]] = {"request": [], "reply": []}

    def feed(self, words: str) -> None:
        try:
            self.take(self.exchange.receive(self.proxy.message(f"{words} {self.modes}".split())))
        except ProxyProtocolError:
            self.take(self.exchange.refuse(Rejection(500, "x")))

    def take(self, steps: list) -> None:  # type: ignore[type-arg]
        for step in steps:
            match step:
                case wire.ProcessingResponse():
                    self.wrote(step)
                case RequestReady():
                    self.ready.append(step)
                    assert len(self.ready) == 1
                    (answer,) = self.desk.router.submit(NAME, step, self.desk.now)
                    self.outcome = answer.outcome
                case ReplyHeaders():
                    self.take(self.exchange.answer_reply(self.observe(step)))
                case _:
                    self.reply_ends += isinstance(step, ReplyEnd)
                    assert self.reply_ends <= 1
                    self.observe(step)

    def observe(self, event: ReplyEvent) -> tuple[tuple[str, str], ...]:
        return self.desk.router.observe(NAME, event, self.desk.now)

    def wrote(self, response: wire.ProcessingResponse) -> None:
        self.proxy.got(response)
        kind = response.WhichOneof("response")
        assert self.immediate == 0, "nothing follows an immediate response"
        self.immediate += kind == "immediate_response"
        if kind == "immediate_response":
            assert not self.reply_began, "the client has its reply already"
        if kind.startswith("response_"):
            self.reply_began = True
            if self.reply_mode == "duplex":
                self.in_order("reply", kind)
        if response.HasField("dynamic_metadata"):
            self.picks += 1
            assert self.picks == 1
        if kind == "request_body" and self.request_mode != "duplex":
            assert not response.request_body.response.HasField("body_mutation"), "the proxy's own bytes go on"
        if kind == "response_body" and self.reply_mode != "duplex":
            assert not response.response_body.response.HasField("body_mutation"), "the proxy's own bytes go on"
        if self.request_mode == "duplex" and kind.startswith("request_"):
            self.in_order("request", kind)

    def in_order(self, direction: str, kind: str) -> None:
        seen, order = self.order[direction], ORDER[direction]
        seen.append(kind)
        assert seen == sorted(seen, key=order.index)

    @rule(eos=st.booleans(), subset=st.sampled_from(["", " subset=", " subset=10.0.0.1"]), opaque=st.booleans())
    def headers(self, eos: bool, subset: str, opaque: bool) -> None:
        self.feed("headers" + (" eos" if eos else "") + subset + (" :path=/models" if opaque else ""))

    @rule(size=st.integers(0, 40), eos=st.booleans())
    def body(self, size: int, eos: bool) -> None:
        self.feed(f"body {size}" + (" eos" if eos else ""))

    @rule()
    def trailers(self) -> None:
        self.feed("trailers")

    @rule(eos=st.booleans(), status=st.sampled_from([200, 404, 503]))
    def reply_headers(self, eos: bool, status: int) -> None:
        self.feed(f"reply-headers {status}" + (" eos" if eos else ""))

    @rule(size=st.integers(0, 40), eos=st.booleans())
    def reply_body(self, size: int, eos: bool) -> None:
        over = self.exchange.finished
        self.feed(f"reply-body {size}" + (" eos" if eos else ""))
        if not over and self.reply_mode == "duplex":
            assert self.proxy.reply_received == self.proxy.reply_sent

    @rule()
    def reply_trailers(self) -> None:
        self.feed("reply-trailers")

    @rule(what=st.sampled_from(["unknown", "half-close"]))
    def other(self, what: str) -> None:
        if what == "half-close":
            self.exchange.half_close()
        else:
            self.feed(what)

    @precondition(lambda self: self.outcome is not None)
    @rule()
    def answer(self) -> None:
        """The router's answer, in time or too late, once or again."""
        assert self.outcome is not None
        due = self.exchange.awaiting_answer
        steps = self.exchange.answer(self.outcome)
        self.take(steps)
        self.exchange.written()
        assert bool(steps) == due
        if self.picks and self.request_mode == "duplex" and self.ready[0].body_state is BodyState.COMPLETE:
            assert bytes(self.proxy.received) == self.ready[0].body

    @rule(seconds=st.sampled_from([0.1, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.desk.wait(seconds)

    def teardown(self) -> None:
        if not hasattr(self, "exchange"):
            return
        cause = self.exchange.end()
        assert isinstance(cause, EndCause)
        assert self.exchange.end() is None
        assert self.budget.held_bytes == 0
        assert self.exchange.receive(self.proxy.message(["headers"])) == []
        assert self.exchange.answer(Pick(("10.0.0.1:80",))) == []
        for _ in range(2):
            self.desk.stop(NAME, cause)
        assert self.books.ends == self.books.placements == isinstance(self.outcome, Pick)
        self.desk.wait(LONGER_THAN_ANY_CHARGE_S)
        assert (self.desk.router.in_flight, self.desk.router.pool.ledger.open) == (0, 0)
        assert self.desk.load() == [0.0, 0.0]


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(max_examples=300, stateful_step_count=20, deadline=None)


@given(body=st.binary(max_size=300_000), cuts=st.lists(st.integers(0, 300_000), max_size=6), trailers=st.booleans())
@settings(deadline=None, max_examples=60)
def test_where_the_body_is_cut_does_not_matter(body: bytes, cuts: list[int], trailers: bool) -> None:
    exchange = Exchange(ExchangeSettings(), BodyBudget(1 << 30))
    proxy = Proxy()
    exchange.receive(proxy.message(["headers", "duplex/duplex"]))
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    steps = []
    for start, end in pairwise(edges):
        message = wire.ProcessingRequest()
        message.request_body.body = body[start:end]
        message.request_body.end_of_stream = end == len(body) and not trailers and not steps
        steps += exchange.receive(message)
    if trailers:
        steps += exchange.receive(proxy.message(["trailers"]))
    elif not steps:
        steps += exchange.receive(proxy.message(["body", "0", "eos"]))
    assert [step.body for step in steps] == [body]
    for response in exchange.answer(Pick(("10.0.0.1:80",))):
        proxy.got(response)
    assert bytes(proxy.received) == body


def test_a_large_body_in_one_byte_chunks_takes_linear_time_and_memory() -> None:
    exchange = Exchange(ExchangeSettings(), BodyBudget(1 << 30))
    exchange.receive(Proxy().message(["headers", "duplex/duplex"]))
    message = wire.ProcessingRequest()
    message.request_body.body = b"x"
    for _ in range(200_000):
        exchange.receive(message)
    message.request_body.end_of_stream = True
    (ready,) = exchange.receive(message)
    assert len(ready.body) == 200_001


def test_the_limit_for_one_body_and_the_budget_for_all_are_kept() -> None:
    budget = BodyBudget(100)
    one = Exchange(ExchangeSettings(max_body_bytes=60), budget)
    other = Exchange(ExchangeSettings(max_body_bytes=60), budget)
    third = Exchange(ExchangeSettings(max_body_bytes=60), budget)
    for exchange in (one, other, third):
        exchange.receive(Proxy().message(["headers", "duplex/duplex"]))
    (refused,) = one.receive(Proxy().message(["body", "61"]))
    assert (refused.body_state, refused.body, budget.held_bytes) == (BodyState.TOO_LARGE, b"", 0)
    assert other.receive(Proxy().message(["body", "60"])) == []
    (refused,) = third.receive(Proxy().message(["body", "41"]))
    assert (refused.body_state, budget.held_bytes, budget.refused) == (BodyState.OVER_BUDGET, 60, 1)
    other.end()
    assert budget.held_bytes == 0


def test_the_body_is_held_until_it_has_been_written() -> None:
    budget = BodyBudget(1000)
    exchange = Exchange(ExchangeSettings(), budget)
    exchange.receive(Proxy().message(["headers", "duplex/duplex"]))
    exchange.receive(Proxy().message(["body", "500", "eos"]))
    exchange.answer(Pick(("10.0.0.1:80",)))
    assert budget.held_bytes == 500
    exchange.written()
    assert budget.held_bytes == 0

"""From what the router tells its observer to lines. A real router drives."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epp.decision_lines import BLOCK_BYTES, LoggedDecision, decode_line, sampled_blocks
from epp.exchange import BodyState, EndCause, ReplyView
from epp.requests import InferenceRequest
from epp.router import ModelRewrite, RouterSettings, TargetSettings, WeightedModel
from epp.scheduling import Profile, Slot, View, Weighted
from epp.telemetry.clock import Clock
from epp.telemetry.decision_log import CANDIDATES, MAX_TEXT, DecisionLog, LineQueue
from tests.router.desk import LONG, Desk, address, chat, sse

STRIDE = 8
BEGIN = 1_700_000_000.0
"""The desk's second 1000, in seconds since 1970."""


class Logged(Desk):
    """A desk whose decisions are logged."""

    def __init__(self, count: int = 2, router: RouterSettings | None = None, queue: LineQueue | None = None) -> None:
        self.queue = queue or LineQueue()
        clock = Clock(lambda: self.now, lambda: self.now - 1000 + BEGIN)
        super().__init__(count, router, observer=DecisionLog("pool-a", clock, self.queue, STRIDE))

    def lines(self) -> list[LoggedDecision]:
        """What was logged since the last call."""
        return [decode_line(line) for line in self.queue.take()]

    def line(self) -> LoggedDecision:
        (line,) = self.lines()
        return line


def test_a_served_request_is_told_from_its_arrival_to_its_end() -> None:
    desk = Logged()
    desk.wait(0.25)
    exchange, endpoint = desk.place(chat(LONG, max_tokens=50))
    assert desk.lines() == [], "it is not over"
    desk.wait(0.5)
    desk.serve(exchange, prompt=2000, cached=0, output=10)
    line = desk.line()
    assert (line.t, line.pool, line.id) == (BEGIN + 0.25, "pool-a", desk.router.decisions[0].id)
    assert (line.operation, line.model, line.target_model, line.stream) == ("chat_completions", "base", "", True)
    assert (line.body_bytes > line.prompt_bytes > len(LONG), line.expected_output_tokens) == (True, 50)
    assert line.expected_prompt_tokens == round(line.prompt_bytes / 4)
    assert (line.endpoint, line.profile, line.predicted_cached_tokens) == (endpoint, "default", 0)
    assert line.predicted_ttft_s == pytest.approx(0.03 + line.prompt_bytes / 4 / 8000, abs=1e-4)
    assert (line.status, line.verdict, line.ttft_s, line.duration_s) == (200, "good", 0.5, 0.7)
    assert (line.prompt_tokens, line.cached_tokens, line.completion_tokens) == (2000, 0, 10)


def test_the_second_turn_of_a_chat_begins_with_the_hashes_of_the_first() -> None:
    desk = Logged()
    asked = {"role": "user", "content": LONG}
    turns = ([asked], [asked, {"role": "assistant", "content": "word " * 500}, asked])
    for messages in turns:
        exchange, _ = desk.place({"model": "base", "messages": messages})
        desk.serve(exchange, prompt=desk.router.decisions[-1].prompt_bytes // 4)
    first, second = desk.lines()
    (numbers, hashes), (more_numbers, more_hashes) = sampled_blocks(first), sampled_blocks(second)
    assert first.block_count == first.prompt_bytes // BLOCK_BYTES == numbers[-1]
    whole = first.block_count // STRIDE
    assert whole >= 4
    assert more_hashes[:whole].tolist() == hashes[:whole].tolist()
    assert more_hashes[whole] != hashes[whole]
    assert more_numbers[:whole].tolist() == [STRIDE * n for n in range(1, whole + 1)]
    assert second.predicted_cached_tokens > 1500


def test_why_tells_the_pick_and_the_best_others() -> None:
    desk = Logged(30)
    exchange, endpoint = desk.place(subset=tuple(address(n) for n in range(1, 21)))
    desk.serve(exchange)
    line = desk.line()
    assert (line.candidates, line.out) == (30, {"subset": 10, "available": 10})
    assert len(line.why) == CANDIDATES
    assert line.why[0].endpoint == line.endpoint == endpoint
    for one in line.why:
        assert one.terms.keys() == {"wait", "prefill", "decode", "impact"}
        assert one.total == pytest.approx(-sum(term or 0.0 for term in one.terms.values()), abs=0.2)


class Never:
    """Costs of two endpoints, of which one is not to be used."""

    def cost(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        view.note("distance", np.array([np.inf, 12.34]))
        return np.array([np.inf, 12.34])


class Half:
    def score(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        return np.array([0.123456, 0.5])


PROFILES = {
    "a cost": (
        Profile("p", cost=Slot("c", Never())),
        [(-12.3, {"distance": 12.3}, {}), (None, {"distance": None}, {})],
    ),
    "scores": (
        Profile("p", scorers=[Weighted("half", Half(), weight=2.0)]),
        [(1.0, {}, {"half": 0.5}), (0.2469, {}, {"half": 0.1235})],
    ),
}


@pytest.mark.parametrize(("profile", "why"), PROFILES.values(), ids=PROFILES)
def test_numbers_are_short_and_what_is_none_is_null(profile: Profile, why: list[object]) -> None:
    desk = Logged(2)
    desk.router.reconfigure(profile, TargetSettings())
    exchange, _ = desk.place()
    desk.serve(exchange)
    line = desk.line()
    assert line.profile == "p"
    assert [(one.total, one.terms, one.scores) for one in line.why] == why


def test_why_is_there_although_the_decision_is_no_longer_kept() -> None:
    desk = Logged(2, RouterSettings(kept_decisions=1))
    first, _ = desk.place()
    desk.place()
    desk.serve(first)
    assert len(desk.line().why) == 2


def refuse(desk: Logged) -> None:
    desk.ask(b"{")


def refuse_all(desk: Logged) -> None:
    desk.ask(subset=())


def abort(desk: Logged) -> None:
    exchange, _ = desk.place()
    desk.headers(exchange)
    desk.stop(exchange, EndCause.ABORTED)


def unseen(desk: Logged) -> None:
    exchange, _ = desk.place(view=ReplyView.NOTHING)
    desk.stop(exchange, EndCause.REQUEST_ONLY)


def fail(desk: Logged) -> None:
    exchange, _ = desk.place(chat("hi", stream=False))
    desk.headers(exchange, 500, "application/json")
    desk.end(exchange, b'{"error": {}}')


def elsewhere(desk: Logged) -> None:
    exchange, _ = desk.place(subset=(address(1),))
    desk.headers(exchange, served=address(2))
    desk.end(exchange, sse({"choices": []}))


def opaque(desk: Logged) -> None:
    exchange, _ = desk.place(b"", path="/v2/repository", state=BodyState.ABSENT)
    desk.serve(exchange)


def rewritten(desk: Logged) -> None:
    desk.router.reconfigure(
        desk.router.profile, TargetSettings(rewrites=(ModelRewrite((WeightedModel("better"),), ("base",)),))
    )
    exchange, _ = desk.place()
    desk.serve(exchange)


def hurried(desk: Logged) -> None:
    exchange, _ = desk.place(hurried=True)
    desk.stop(exchange, EndCause.REQUEST_ONLY)


ENDS: dict[str, tuple[Callable[[Logged], None], dict[str, object]]] = {
    "refused for its body": (refuse, {"rejected": "rejected-malformed", "status": 400, "id": "", "body_bytes": 1}),
    "refused without endpoints": (refuse_all, {"rejected": "rejected-no-endpoints", "status": 503, "model": "base"}),
    "aborted": (abort, {"verdict": "unknown", "status": 200, "ttft_s": None, "prompt_tokens": None}),
    "not seen": (unseen, {"verdict": "unknown", "status": 0, "duration_s": 0.0}),
    "failed": (fail, {"verdict": "failed", "status": 500, "stream": False, "block_count": 0, "blocks": b""}),
    "served elsewhere": (elsewhere, {"endpoint": address(1), "served": address(2)}),
    "opaque": (opaque, {"operation": "opaque", "model": "", "prompt_bytes": 0, "block_stride": 0}),
    "rewritten": (rewritten, {"model": "base", "target_model": "better"}),
    "hurried": (hurried, {"note": "overloaded: picked by load alone", "blocks": b"", "block_count": 0}),
}


@pytest.mark.parametrize(("happens", "expected"), ENDS.values(), ids=ENDS)
def test_every_end_has_one_line(happens: Callable[[Logged], None], expected: dict[str, object]) -> None:
    desk = Logged()
    happens(desk)
    line = desk.line()
    assert {name: getattr(line, name) for name in expected} == expected


def test_names_are_cut_and_halves_of_characters_replaced() -> None:
    desk = Logged()
    for model in ("m" * 1000, "a\udc80b", "größe"):
        exchange, _ = desk.place(headers={"x-gateway-model-name-rewrite": model})
        desk.serve(exchange)
    assert [line.target_model for line in desk.lines()] == ["m" * MAX_TEXT, "a?b", "größe"]


secrets = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=12, max_size=400)


@given(secret=secrets, refused=st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
def test_neither_prompt_nor_headers_nor_users_are_in_a_line(secret: str, refused: bool) -> None:
    secret = f"psst {secret} psst"
    body = chat(secret * 20, user=secret, metadata={"user_id": secret}, cache_salt=secret, tools=[{"name": secret}])
    names = ("authorization", "x-request-id", "x-session-id", "traceparent", "tracestate", "cookie")
    desk = Logged()
    exchange, outcome = desk.ask(body, headers=dict.fromkeys(names, secret), subset=() if refused else None)
    if not refused:
        desk.headers(exchange)
        desk.end(exchange, sse({"choices": [{"delta": {"content": secret}}]}))
    (line,) = desk.queue.take()
    text = line.decode()
    parts = (secret[5:-5], json.dumps(secret)[6:-6], secret[5:17], "psst ")
    assert not [part for part in parts if part in text]
    assert outcome is not None


def test_lines_without_room_are_dropped_and_counted() -> None:
    queue = LineQueue(limit_bytes=10)
    for line in (b"1234\n", b"12345678\n", b"1234\n", b"\n"):
        queue.put(line)
    assert (len(queue), queue.dropped) == (2, 2)
    assert queue.take() == [b"1234\n", b"1234\n"]
    assert queue.take() == []
    queue.put(b"123456789\n")
    assert queue.take() == [b"123456789\n"]

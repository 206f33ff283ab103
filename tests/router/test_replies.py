import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from epp.endpoints import EndpointSpec, Row
from epp.exchange import EndCause, ExchangeId, ReplyView
from tests.router.desk import LONG, Desk, address, chat, sse


def test_the_first_token_releases_the_prefill_and_the_end_the_rest() -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    assert desk.load() == [1]
    assert desk.prefill()[0] > 1000
    desk.headers(exchange)
    assert desk.prefill()[0] > 1000
    desk.first(exchange)
    assert (desk.load(), desk.prefill()) == ([1], [0])
    desk.end(exchange, sse({"choices": []}))
    assert (desk.load(), desk.router.in_flight) == ([0], 0)


def test_a_reply_that_is_not_streamed_shows_no_first_token_so_its_prefill_ends_as_predicted() -> None:
    desk = Desk(1)
    desk.place(chat(LONG, stream=False))
    assert desk.prefill()[0] > 1000
    desk.wait(5.0)
    assert (desk.load(), desk.prefill()) == ([1], [0])


@pytest.mark.parametrize("cause", [EndCause.ABORTED, EndCause.REPLY_UNSEEN, EndCause.COMPLETE])
def test_every_end_that_was_seen_releases_at_once(cause: EndCause) -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    desk.headers(exchange)
    desk.stop(exchange, cause)
    assert (desk.load(), desk.prefill(), desk.router.in_flight) == ([0], [0], 0)
    desk.stop(exchange, cause)
    desk.first(exchange)
    desk.end(exchange)
    assert desk.load() == [0]


def test_a_charge_whose_end_nobody_will_tell_decays_as_predicted() -> None:
    desk = Desk(1)
    exchange, _ = desk.place(chat(LONG, max_tokens=100), view=ReplyView.NOTHING)
    desk.stop(exchange, EndCause.REQUEST_ONLY)
    assert desk.load() == [1]
    desk.wait(1.0)
    assert (desk.load(), desk.prefill()) == ([1], [0])
    desk.wait(60.0)
    assert desk.load() == [0]


def test_an_end_without_a_reply_is_an_abort_once_the_gateway_is_known_to_show_replies() -> None:
    desk = Desk(1)
    first, _ = desk.place(declared=False)
    desk.stop(first, EndCause.NO_REPLY)
    assert desk.load() == [1], "for all that is known, this gateway has no reply phase"
    desk.wait(60.0)
    second, _ = desk.place(declared=False)
    desk.serve(second)
    third, _ = desk.place(declared=False)
    desk.stop(third, EndCause.NO_REPLY)
    assert desk.load() == [0]
    other_kind, _ = desk.place(view=ReplyView.HEADERS)
    desk.stop(other_kind, EndCause.NO_REPLY)
    assert desk.load() == [1]


def test_a_gateway_that_declares_how_it_shows_replies_has_a_reply_phase() -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    desk.stop(exchange, EndCause.NO_REPLY)
    assert desk.load() == [0]


def test_usage_teaches_bytes_per_token_and_answer_lengths() -> None:
    desk = Desk(1)
    for _ in range(40):
        exchange, _ = desk.place(chat(LONG))
        desk.serve(exchange, prompt=4000, output=50)
    estimates = desk.router.pool.estimates
    assert estimates.bytes_per_token("base") == pytest.approx(len(LONG) / 4000, rel=0.02)
    assert estimates.output_tokens("base", None) == pytest.approx(50)
    assert estimates.output_tokens("base", 10) == 10


def test_lean_ends_never_train_rates() -> None:
    desk = Desk(1)
    for _ in range(20):
        exchange, _ = desk.place(view=ReplyView.HEADERS)
        desk.headers(exchange)
        desk.now += 1.0
        desk.stop(exchange, EndCause.REPLY_UNSEEN)
    columns = desk.router.pool.table.columns
    assert (columns.prefill_rate[0], columns.token_interval[0]) == (0, 0)


def test_speed_is_learned_from_streams() -> None:
    desk = Desk(1)
    for n in range(20):
        exchange, _ = desk.place(chat(f"{n}" + LONG))
        work = desk.prefill()[0]
        desk.now += work / 5000
        desk.serve(exchange, prompt=int(work), output=21)
    columns = desk.router.pool.table.columns
    assert columns.prefill_rate[0] == pytest.approx(5000, rel=0.01)
    assert columns.token_interval[0] == pytest.approx(0.021, rel=0.01)


def test_a_cache_that_does_not_hold_what_was_expected_is_trusted_less() -> None:
    desk = Desk(1)
    for _ in range(40):
        exchange, _ = desk.place(chat(LONG))
        desk.serve(exchange, prompt=2200, cached=0)
    assert desk.router.pool.table.columns.cache_trust[0] < 0.1


def test_time_to_first_token_is_predicted_by_the_work_in_front_of_it() -> None:
    desk = Desk(1)
    for requests in (1, 2, 3):
        desk.place(chat(f"{requests}" + LONG))
        work = desk.prefill()[0]
        assert work > 2000 * requests
        assert desk.router.decisions[-1].predicted_ttft_s == pytest.approx(0.03 + work / 8000)


def test_predictions_learn_from_first_tokens_until_the_endpoint_leaves() -> None:
    desk = Desk(1)

    def served(took_s: float) -> float:
        exchange, _ = desk.place(chat(f"{next(desk.ids)}" + LONG))
        desk.now += took_s
        desk.serve(exchange, prompt=len(LONG) // 4)
        return desk.router.decisions[-1].predicted_ttft_s

    first, *_, last = (served(1.5) for _ in range(50))
    assert first == pytest.approx(0.3, abs=0.02)
    assert last == pytest.approx(1.5, rel=0.05)
    desk.endpoints()
    desk.endpoints(2)
    assert served(1.5) == pytest.approx(1.5, rel=0.1), "the pool's experience stays"


def test_hashes_of_a_prompt_are_kept_until_the_request_is_over() -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    (record,) = desk.router.decisions
    assert len(record.chain) == 8 * (record.prompt_bytes // 256) > 0
    desk.serve(exchange)
    assert record.chain == b""


def fail(desk: Desk, exchange: ExchangeId, how: str) -> None:
    match how:
        case "connect error":
            desk.headers(exchange, 503, "text/plain")
            desk.end(exchange, b"upstream connect error or disconnect/reset before headers")
        case "server error":
            desk.headers(exchange, 500, "application/json")
            desk.end(exchange, b'{"error":{"message":"EngineCore encountered an issue","code":500}}')
        case "empty stream":
            desk.headers(exchange)
            desk.end(exchange, b"data: [DONE]\n\n", 1)
        case "engine error in a stream":
            desk.headers(exchange)
            desk.end(exchange, sse({"error": {"message": "EngineCore", "code": 500}}), 1)
        case "busy":
            desk.headers(exchange, 503, "application/json")
            desk.end(exchange, b'{"error":{"message":"The engine is currently busy","code":503}}')
        case "not offered":
            desk.headers(exchange, 501, "application/json")
            desk.end(exchange, b'{"error":{"message":"not implemented","code":501}}')
        case "client error":
            desk.headers(exchange, 400, "application/json")
            desk.end(exchange, b'{"error":{"message":"bad","code":400}}')
        case "abort":
            desk.headers(exchange)
            desk.stop(exchange, EndCause.ABORTED)


@pytest.mark.parametrize(
    ("how", "ejected"),
    {
        "connect error": True,
        "server error": True,
        "empty stream": True,
        "engine error in a stream": True,
        "busy": False,
        "not offered": False,
        "client error": False,
        "abort": False,
    }.items(),
)
def test_what_counts_as_a_failure_of_the_endpoint(how: str, ejected: bool) -> None:
    desk = Desk(4)
    for _ in range(3):
        exchange, _ = desk.place(subset=(address(2),))
        fail(desk, exchange, how)
    row = desk.router.pool.table.row_of(address(2))
    assert bool(desk.router.pool.table.columns.usable[row]) is not ejected


def test_a_prompt_that_was_refused_is_not_taken_for_cached() -> None:
    desk = Desk(1)
    exchange, _ = desk.place()
    fail(desk, exchange, "busy")
    assert desk.router.index.entries == 0


def test_the_endpoint_that_really_served_gets_charge_and_prefix() -> None:
    desk = Desk(2)
    exchange, picked = desk.place()
    other = address(1) if picked == address(2) else address(2)
    row, picked_row = desk.router.pool.table.row_of(other), desk.router.pool.table.row_of(picked)
    desk.headers(exchange, served=other)
    assert desk.load()[row] == 1
    assert desk.load()[picked_row] == 0
    assert desk.router.index.blocks_of(row) > 0
    assert desk.router.index.blocks_of(picked_row) == 0
    desk.first(exchange)
    desk.end(exchange, sse({}))
    assert desk.load() == [0, 0]
    assert desk.router.decisions[-1].served == other


def test_a_served_address_that_nobody_knows_releases_the_charge() -> None:
    desk = Desk(2)
    exchange, _ = desk.place()
    desk.headers(exchange, served="10.9.9.9:1")
    assert desk.load() == [0, 0]
    desk.end(exchange, sse({}))


def test_an_endpoint_that_left_meanwhile_is_no_problem() -> None:
    desk = Desk(2)
    exchange, _ = desk.place(subset=(address(1),))
    desk.endpoints(2, 3)
    desk.serve(exchange)
    assert desk.load() == [0, 0]


def test_a_restarted_server_has_forgotten_everything() -> None:
    desk = Desk(1)
    desk.scrape(1, running=0, start_time=1.0)
    exchange, _ = desk.place()
    desk.serve(exchange)
    assert desk.router.index.blocks_of(Row(0)) > 0
    desk.scrape(1, running=0, start_time=2.0)
    assert desk.router.index.blocks_of(Row(0)) == 0


def test_the_index_remembers_no_more_than_the_server_can_hold() -> None:
    desk = Desk(1)
    desk.scrape(1, running=0, capacity_tokens=3000, block_size=16)
    for n in range(10):
        exchange, _ = desk.place(chat(f"{n} {LONG}"))
        desk.serve(exchange, prompt=2200)
    per_block = 256 / desk.router.pool.estimates.bytes_per_token("base")
    assert 2000 < desk.router.index.blocks_of(Row(0)) * per_block <= 3000


class ReplyMachine(RuleBasedStateMachine):
    """Any events for any exchange in any order, repeated and late ones too: in the end nothing is charged."""

    @initialize()
    def start(self) -> None:
        self.desk = Desk(3)
        self.exchanges: list[ExchangeId] = []

    def one(self, data: st.DataObject) -> ExchangeId:
        return data.draw(st.sampled_from(self.exchanges)) if self.exchanges else ExchangeId(999_999)

    @rule(view=st.sampled_from(ReplyView), stream=st.booleans(), text=st.sampled_from(["a", "b", "c"]))
    def place(self, view: ReplyView, stream: bool, text: str) -> None:
        self.exchanges.append(self.desk.place(chat(text * 1000, stream=stream), view=view)[0])

    @rule(
        data=st.data(),
        status=st.sampled_from([0, 200, 404, 500, 503]),
        served=st.sampled_from([None, address(1), "x", "10.9.9.9:1"]),
    )
    def headers(self, data: st.DataObject, status: int, served: str | None) -> None:
        self.desk.headers(self.one(data), status, served=served)

    @rule(data=st.data())
    def first(self, data: st.DataObject) -> None:
        self.desk.first(self.one(data))

    @rule(data=st.data(), reply=st.sampled_from([b"", b"data: [DONE]\n\n", b"\xff\x00", b'{"usage":{}}']))
    def end(self, data: st.DataObject, reply: bytes) -> None:
        self.desk.end(self.one(data), reply)

    @rule(data=st.data(), cause=st.sampled_from(EndCause))
    def stop(self, data: st.DataObject, cause: EndCause) -> None:
        self.desk.stop(self.one(data), cause)

    @rule(numbers=st.sets(st.integers(1, 5), max_size=3))
    def endpoints_change(self, numbers: set[int]) -> None:
        self.desk.endpoints(1, 2, *numbers)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.desk.wait(seconds)

    def teardown(self) -> None:
        for exchange in self.exchanges:
            self.desk.stop(exchange, EndCause.ABORTED)
        self.desk.wait(100_000.0)
        assert self.desk.router.in_flight == 0
        assert self.desk.router.pool.ledger.open == 0
        assert not any(self.desk.load())
        assert not any(self.desk.prefill())


TestReplies = ReplyMachine.TestCase
TestReplies.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_pick_that_another_endpoint_had_to_replace_has_failed_once() -> None:
    desk = Desk(4)
    picked = address(2)
    for _ in range(3):
        exchange, _ = desk.place(subset=(picked,))
        desk.headers(exchange, served=address(3))
        desk.first(exchange)
        desk.end(exchange, sse({"choices": []}), 1)
    health, table = desk.router.pool.health, desk.router.pool.table
    assert health.describe(table.row_of(picked)) == "ejected"
    assert health.describe(table.row_of(address(3))) != "ejected"


def test_what_an_unknown_endpoint_served_says_nothing_of_it_and_teaches_no_rates() -> None:
    desk = Desk(2)
    for _ in range(20):
        exchange, _ = desk.place(chat(LONG, model="base"), subset=(address(1),))
        desk.headers(exchange, 500, "application/json", served="10.9.9.9:1")
        desk.end(exchange, b'{"error":{}}')
    assert not desk.router.pool.table.columns.prefill_rate.any()
    assert desk.load() == [0, 0]


def test_a_served_address_in_another_spelling_is_the_pick() -> None:
    desk = Desk(0)
    desk.router.replace_endpoints([EndpointSpec("[fd00::1]:8000")], desk.now)
    exchange, _ = desk.place()
    desk.headers(exchange, served="[FD00:0::1]:8000")
    assert desk.router.decisions[-1].served == ""
    assert desk.load() == [1]


def test_an_adapter_is_released_once_wherever_it_was_served() -> None:
    desk = Desk(2)
    for number in (1, 2):
        desk.models(number, "base", adapters=("ad",))
    kept, _ = desk.place(chat("one", model="ad"), subset=(address(1),))
    moved, _ = desk.place(chat("two", model="ad"), subset=(address(1),))
    lost, _ = desk.place(chat("three", model="ad"), subset=(address(1),))
    in_use = desk.router.pool.table.columns.adapters_in_use
    desk.headers(moved, served=address(2))
    desk.headers(lost, served="10.9.9.9:1")
    desk.end(lost)
    assert in_use[:2].tolist() == [1, 1]
    desk.end(moved, sse({}))
    assert in_use[:2].tolist() == [1, 0]
    desk.serve(kept)
    assert in_use[:2].tolist() == [0, 0]


def test_events_before_the_first_token_of_the_responses_api_are_no_first_token() -> None:
    desk = Desk(1)
    body = {"model": "base", "input": LONG, "stream": True}
    for _ in range(20):
        exchange, _ = desk.place(body, path="/v1/responses")
        work = desk.prefill()[0]
        desk.headers(exchange)
        desk.first(exchange)
        assert desk.prefill() == [work]
        desk.wait(5.0)
        assert desk.prefill() == [0], "it ends as predicted"
        desk.end(exchange, sse({}), 5)
    assert not desk.router.pool.table.columns.prefill_rate.any()

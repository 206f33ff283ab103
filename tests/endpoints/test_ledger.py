from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from epp.endpoints import Charge, EndpointSpec, EndpointTable
from epp.endpoints.adapters import AdapterLedger
from epp.endpoints.ledger import Ledger

MAX_AGE_S = 100.0


def specs(*numbers: int) -> list[EndpointSpec]:
    return [EndpointSpec(f"10.0.0.{number}:8000") for number in numbers]


def table_of(*numbers: int) -> EndpointTable:
    table = EndpointTable()
    table.replace(specs(*numbers), 0.0)
    return table


def ledger_of(table: EndpointTable, max_age_s: float = 7200.0) -> Ledger:
    return Ledger(table, AdapterLedger(table), max_age_s)


class LedgerMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, and however often: columns are the sums of what is open, and end at zero."""

    @initialize()
    def start(self) -> None:
        self.table = table_of(1, 2, 3)
        self.adapters = AdapterLedger(self.table)
        self.table.columns.max_loras[:] = 2
        self.ledger = Ledger(self.table, self.adapters, MAX_AGE_S)
        self.now = 0.0
        self.charges: list[Charge] = []

    def pick(self, data: st.DataObject) -> Charge | None:
        return data.draw(st.sampled_from(self.charges)) if self.charges else None

    @rule(
        at=st.integers(0, 2),
        prefill=st.integers(0, 100_000),
        context=st.integers(0, 100_000),
        adapter=st.sampled_from(["", "a", "b", "c"]),
    )
    def charge(self, at: int, prefill: int, context: int, adapter: str) -> None:
        row = int(self.table.live_rows[at])
        self.charges.append(self.ledger.charge(row, prefill, context, self.now, adapter=adapter))

    @rule(data=st.data())
    def first_token(self, data: st.DataObject) -> None:
        if charge := self.pick(data):
            self.ledger.release_prefill(charge)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if charge := self.pick(data):
            self.ledger.release(charge, self.now)

    @rule(data=st.data(), at=st.integers(0, 2))
    def move(self, data: st.DataObject, at: int) -> None:
        if charge := self.pick(data):
            self.ledger.move(charge, int(self.table.live_rows[at]), 5.0, self.now)

    @rule(data=st.data(), first=st.floats(0, 50), rest=st.floats(0, 50))
    def lose_sight(self, data: st.DataObject, first: float, rest: float) -> None:
        if charge := self.pick(data):
            self.ledger.release_later(charge, self.now + first, self.now + first + rest)

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.ledger.tick(self.now)

    @rule(number=st.integers(1, 5))
    def endpoints_change(self, number: int) -> None:
        for row in self.table.replace(specs(number, number + 1, number + 2), self.now).removed:
            self.adapters.forget(row)

    @invariant()
    def columns_are_the_sums(self) -> None:
        for row in range(self.table.size):
            own = [c for c in self.charges if not c.released and c.ref.row == row and self.table.holds(c.ref)]
            columns = self.table.columns
            assert columns.requests[row] == len(own)
            for name in ("prefill_tokens", "context_tokens"):
                expected = sum(getattr(charge, name) for charge in own)
                assert getattr(columns, name)[row] == expected

    def teardown(self) -> None:
        self.ledger.tick(self.now + 2 * MAX_AGE_S)
        columns = self.table.columns
        assert self.ledger.open == 0
        assert not columns.requests.any()
        assert not columns.prefill_tokens.any()
        assert not columns.context_tokens.any()
        assert not columns.adapters_in_use.any()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_release_for_a_former_endpoint_does_not_touch_the_rows_new_owner() -> None:
    table = table_of(1)
    ledger = ledger_of(table)
    old = ledger.charge(0, 10.0, 20.0, 0.0)
    table.replace(specs(2), 1.0)
    assert table.row_of("10.0.0.2:8000") == 0
    ledger.charge(0, 1.0, 2.0, 1.0)
    ledger.release_prefill(old)
    ledger.release(old, 2.0)
    assert table.columns.requests[0] == 1
    assert table.columns.prefill_tokens[0] == 1.0


def test_a_charge_that_nobody_releases_ends_at_its_maximum_age() -> None:
    table = table_of(1)
    ledger = ledger_of(table, MAX_AGE_S)
    ledger.charge(0, 10.0, 20.0, 0.0)
    ledger.tick(MAX_AGE_S - 1)
    assert (ledger.open, ledger.expired) == (1, 0)
    ledger.tick(MAX_AGE_S)
    assert (ledger.open, ledger.expired) == (0, 1)


def test_a_lost_request_is_let_go_in_two_steps_as_predicted() -> None:
    table = table_of(1)
    ledger = ledger_of(table)
    charge = ledger.charge(0, 10.0, 20.0, 0.0)
    ledger.release_later(charge, 1.0, 3.0)
    assert ledger.wake_at() == 1.0
    ledger.tick(1.0)
    assert (table.columns.prefill_tokens[0], table.columns.requests[0]) == (0.0, 1.0)
    ledger.tick(3.0)
    assert table.columns.requests[0] == 0.0


def test_how_many_requests_were_under_way_a_moment_ago_is_known() -> None:
    table = table_of(1, 2)
    ledger = ledger_of(table)
    first = ledger.charge(0, 0.0, 0.0, 1.0)
    ledger.charge(1, 0.0, 0.0, 1.0)
    ledger.charge(0, 0.0, 0.0, 2.0)
    ledger.release(first, 3.0)
    assert [ledger.requests_at(0, when) for when in (0.5, 1.0, 2.0, 3.0)] == [0, 1, 2, 1]


def test_an_adapter_is_in_use_as_long_as_a_charge_names_it() -> None:
    table = table_of(1, 2)
    in_use = table.columns.adapters_in_use
    ledger = ledger_of(table)
    charges = [ledger.charge(0, 0.0, 0.0, 1.0, adapter="a") for _ in range(2)]
    assert in_use[:2].tolist() == [1, 0]
    ledger.move(charges[0], 1, 0.0, 2.0)
    assert in_use[:2].tolist() == [1, 1]
    for charge in charges * 2:
        ledger.release(charge, 3.0)
    assert in_use[:2].tolist() == [0, 0]

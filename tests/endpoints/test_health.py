import numpy as np
import pytest

from epp.endpoints import EndpointSpec, EndpointTable, HealthSettings, Verdict
from epp.endpoints.health import Health

SETTINGS = HealthSettings(
    probe_failures=2, scrape_failures=3, reply_failures=3, ejection_s=10.0, max_ejected_share=0.5, slow_start_s=30.0
)


class Pool:
    """Endpoints that have been there for long, and a clock."""

    def __init__(self, count: int = 4, settings: HealthSettings = SETTINGS) -> None:
        self.table = EndpointTable()
        self.health = Health(self.table, settings)
        self.now = 0.0
        self.set(*range(1, count + 1))
        self.wait(100.0)

    def set(self, *numbers: int) -> None:
        change = self.table.replace([EndpointSpec(f"10.0.0.{number}:8000") for number in numbers], self.now)
        for row in change.removed:
            self.health.removed(row)
        for row in change.added:
            self.health.added(row, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.health.tick(self.now)

    def reply(self, row: int, *verdicts: Verdict) -> None:
        for verdict in verdicts:
            self.health.replied(row, verdict, self.now, placed_at=self.now)

    def usable(self) -> list[int]:
        return np.flatnonzero(self.table.columns.usable).tolist()

    def limit(self, row: int) -> float:
        return float(self.table.columns.request_limit[row])


FAILED, GOOD, BUSY, UNKNOWN = Verdict.FAILED, Verdict.GOOD, Verdict.BUSY, Verdict.UNKNOWN


def test_failed_probes_in_a_row_take_an_endpoint_out_and_one_good_one_brings_it_back() -> None:
    pool = Pool()
    pool.health.probed(0, healthy=False, now=pool.now)
    assert 0 in pool.usable()
    pool.health.probed(0, healthy=False, now=pool.now)
    assert pool.usable() == [1, 2, 3]
    assert pool.health.describe(0) == "unhealthy"
    pool.health.probed(0, healthy=True, now=pool.now)
    assert pool.usable() == [0, 1, 2, 3]
    assert pool.health.describe(0) == "slow start"


def test_failed_scrapes_are_a_weaker_sign() -> None:
    pool = Pool()
    for expected in (True, True, False):
        pool.health.scraped(1, ok=False, now=pool.now)
        assert (1 in pool.usable()) is expected
    assert pool.health.describe(1) == "unreachable"
    pool.health.scraped(1, ok=True, now=pool.now)
    assert 1 in pool.usable()


def test_a_sleeping_engine_is_not_used_although_it_is_healthy() -> None:
    pool = Pool()
    pool.health.scraped(2, ok=True, asleep=True, now=pool.now)
    pool.health.probed(2, healthy=True, now=pool.now)
    assert pool.usable() == [0, 1, 3]
    pool.health.scraped(2, ok=True, asleep=False, now=pool.now)
    assert pool.usable() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("verdicts", "ejected"),
    [
        ([FAILED, FAILED], False),
        ([FAILED, FAILED, FAILED], True),
        ([FAILED, FAILED, GOOD, FAILED, FAILED], False),
        ([UNKNOWN] * 50, False),
        ([FAILED, UNKNOWN, FAILED, BUSY, FAILED], True),
    ],
    ids=["below the threshold", "in a row", "a success between", "clients' errors", "what says nothing does not help"],
)
def test_failing_replies_eject(verdicts: list[Verdict], ejected: bool) -> None:
    pool = Pool()
    pool.reply(0, *verdicts)
    assert (0 not in pool.usable()) is ejected


def test_never_more_than_a_share_of_the_pool_is_ejected() -> None:
    pool = Pool(count=4)
    for row in range(4):
        pool.reply(row, FAILED, FAILED, FAILED, FAILED)
    assert pool.usable() == [2, 3]
    single = Pool(count=1)
    single.reply(0, *[FAILED] * 10)
    assert single.usable() == [0]


def test_after_its_time_an_ejected_endpoint_gets_one_request_and_a_success_brings_it_back_slowly() -> None:
    pool = Pool()
    pool.table.columns.requests[1:] = 20
    pool.reply(0, FAILED, FAILED, FAILED)
    pool.wait(9.9)
    assert 0 not in pool.usable()
    pool.wait(0.2)
    assert (0 in pool.usable(), pool.limit(0)) == (True, 1.0)
    pool.reply(0, GOOD)
    pool.wait(15.0)
    assert pool.limit(0) == 7.5  # half of the fair part, that is the mean of 20, 20, 20 and 0
    pool.wait(15.0)
    assert pool.limit(0) == np.inf


def test_a_failing_trial_ejects_at_once_and_for_twice_as_long() -> None:
    pool = Pool()
    pool.reply(0, FAILED, FAILED, FAILED)
    pool.wait(10.0)
    pool.reply(0, FAILED)
    assert 0 not in pool.usable()
    pool.wait(19.0)
    assert 0 not in pool.usable()
    pool.wait(1.1)
    assert 0 in pool.usable()


def test_where_no_replies_are_seen_a_trial_ends_by_time() -> None:
    pool = Pool()
    pool.reply(0, FAILED, FAILED, FAILED)
    pool.wait(10.0)
    assert pool.limit(0) == 1.0
    pool.wait(SETTINGS.ejection_s + 0.1)
    assert pool.health.describe(0) == "slow start"


def test_a_busy_endpoint_gets_nothing_for_a_moment() -> None:
    pool = Pool()
    pool.reply(0, BUSY)
    assert (pool.limit(0), 0 in pool.usable()) == (0.0, True)
    pool.wait(SETTINGS.busy_s)
    assert pool.limit(0) == np.inf


def test_a_new_endpoint_starts_slowly_among_old_ones() -> None:
    pool = Pool(count=2)
    pool.table.columns.requests[:2] = 30
    pool.set(1, 2, 3)
    assert pool.limit(2) == 5.0  # a quarter of the fair part at first
    pool.wait(15.0)
    assert pool.limit(2) == pytest.approx(10.0)
    pool.wait(15.0)
    assert pool.limit(2) == np.inf


def test_a_pool_of_new_endpoints_is_not_held_back() -> None:
    pool = Pool(count=0)
    pool.set(1, 2, 3)
    assert [pool.limit(row) for row in range(3)] == [np.inf] * 3


def test_failures_of_requests_from_before_the_ejection_decide_no_trial() -> None:
    pool = Pool()
    pool.reply(0, FAILED, FAILED, FAILED)
    placed_before = pool.now
    pool.wait(10.0)
    pool.health.replied(0, FAILED, pool.now, placed_at=placed_before)
    assert 0 in pool.usable()
    pool.reply(0, GOOD)
    assert pool.health.describe(0) == "slow start"


def test_failures_while_ejected_do_not_prolong_it() -> None:
    pool = Pool()
    pool.reply(0, *[FAILED] * 30)
    pool.wait(10.0)
    assert 0 in pool.usable()


def test_an_endpoint_whose_scrapes_fail_can_still_be_reached() -> None:
    pool = Pool()
    for _ in range(3):
        pool.health.scraped(1, ok=False, now=pool.now)
    columns = pool.table.columns
    assert (bool(columns.usable[1]), bool(columns.reachable[1])) == (False, True)
    pool.health.probed(1, healthy=False, now=pool.now)
    pool.health.probed(1, healthy=False, now=pool.now)
    assert not columns.reachable[1]


def test_usual_pages_neither_hide_nor_hold_up_what_other_evidence_says() -> None:
    pool = Pool()
    pool.reply(0, FAILED, FAILED, FAILED)
    for _ in range(50):
        for row in (0, 1):
            pool.health.scraped(row, ok=True, now=pool.now)
        pool.wait(0.25)
    assert pool.health.describe(0) == "half open"
    pool.health.scraped(1, ok=True, asleep=True, now=pool.now)
    assert 1 not in pool.usable()
    pool.health.scraped(1, ok=True, asleep=False, now=pool.now)
    assert 1 in pool.usable()
    assert pool.health.describe(1) == "slow start"

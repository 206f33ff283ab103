"""What the log says of overload."""

import logging

import pytest

from epp.telemetry.lag import LagMonitor
from epp.telemetry.overload_log import CALM_S, OverloadLog


class Judged(LagMonitor):
    """A monitor whose judgement is given."""

    judgement = False

    def overloaded(self) -> bool:
        return self.judgement


class Log:
    """The lines said by what was judged when."""

    def __init__(self) -> None:
        self.monitor = Judged()
        self.log = OverloadLog(self.monitor, logging.getLogger("test"))

    def judge(self, now: float, overloaded: bool) -> None:
        self.monitor.judgement = overloaded
        self.log.tick(now)


def test_nothing_is_said_without_overload(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    for now in range(100):
        log.judge(float(now), False)
    assert not caplog.messages


def test_the_beginning_is_said_at_once_and_the_end_when_it_stays_calm(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.judge(1.0, True)
    assert caplog.messages == ["overloaded: new requests are placed by load alone"]
    log.judge(3.5, True)
    log.judge(4.0, False)
    log.judge(3.5 + CALM_S - 0.1, False)
    assert len(caplog.messages) == 1
    log.judge(3.5 + CALM_S, False)
    log.judge(4.5 + CALM_S, False)
    assert caplog.messages[1:] == ["no longer overloaded"]
    assert caplog.records[1].lasted_s == 2.5


def test_what_comes_and_goes_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    for second in range(100):
        log.judge(float(second), second % 3 == 0)
    assert len(caplog.messages) == 1


def test_each_time_of_overload_has_its_own_lines(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    for begin in (0.0, 100.0):
        log.judge(begin, True)
        log.judge(begin + CALM_S, False)
    assert len(caplog.messages) == 4

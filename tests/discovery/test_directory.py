"""Which names are asked for and when, and what they stand for. Time is a number here."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from epp.discovery.directory import Answer, Directory, DnsSettings, Failure, Family, Question, RecordType, ServiceRecord
from epp.discovery.targets import HostTarget, ServiceTarget, Target

A, AAAA, SRV = RecordType.A, RecordType.AAAA, RecordType.SRV
GPU = HostTarget("gpu", 8000)
LITERAL = HostTarget("10.9.9.9", 8000)
SERVICE = ServiceTarget("_v._tcp.x")
V4, V6 = Question("gpu", A), Question("gpu", AAAA)


def directory(*targets: Target, **settings: object) -> Directory:
    made = Directory(DnsSettings(**settings))  # type: ignore[arg-type]
    made.set_targets(targets, 0.0)
    return made


def addresses(made: Directory, now: float = 0.0) -> list[str] | None:
    specs = made.specs(now)
    return None if specs is None else [spec.address for spec in specs]


def test_addresses_need_no_question() -> None:
    made = directory(LITERAL, HostTarget("fd00::1", 1, name="x", labels={"a": "b"}, metrics_port=9))
    assert made.due(0.0) == []
    assert made.wake_at(0.0) == math.inf
    specs = made.specs(0.0)
    assert specs
    assert [(s.address, s.name, s.metrics_address) for s in specs] == [
        ("10.9.9.9:8000", "", ""),
        ("[fd00::1]:1", "x", "[fd00::1]:9"),
    ]
    assert made.specs(0.0) is None  # nothing new


def test_an_empty_list_is_a_known_set() -> None:
    assert directory().specs(0.0) == ()


def test_a_name_is_published_once_both_families_have_answered() -> None:
    made = directory(GPU)
    assert made.due(0.0) == [V4, V6]
    assert made.due(0.0) == []
    made.answered(V4, Answer(30, ("10.0.0.2", "10.0.0.1")), 0.1)
    assert addresses(made, 0.1) is None
    made.answered(V6, Answer(30), 0.2)
    assert addresses(made, 0.2) == ["10.0.0.1:8000", "10.0.0.2:8000"]


def test_a_slow_first_answer_holds_up_the_others_for_a_moment_only() -> None:
    made = directory(GPU, LITERAL)
    made.due(0.0)
    assert addresses(made, 0.49) is None
    assert made.wake_at(0.49) == 0.5
    assert addresses(made, 0.5) == ["10.9.9.9:8000"]
    made.answered(V4, Answer(30, ("10.0.0.1",)), 3.0)
    made.failed(V6, Failure.TIMEOUT, 5.0)
    assert addresses(made, 5.0) == ["10.0.0.1:8000", "10.9.9.9:8000"]


TTLS = {"within the bounds": (7.0, 7.0), "zero": (0.0, 1.0), "a day": (86400.0, 60.0)}


@pytest.mark.parametrize(("ttl_s", "wait_s"), TTLS.values(), ids=TTLS)
def test_an_answer_is_asked_for_again_when_its_time_to_live_ends(ttl_s: float, wait_s: float) -> None:
    made = directory(GPU)
    made.due(0.0)
    for question in (V4, V6):
        made.answered(question, Answer(ttl_s), 10.0)
    assert made.wake_at(10.0) == 10.0 + wait_s
    assert made.due(10.0 + wait_s - 0.001) == []
    assert made.due(10.0 + wait_s) == [V4, V6]


def test_failed_lookups_are_tried_again_with_growing_waits() -> None:
    made, now, waits = directory(GPU), 0.0, []
    made.due(0.0)
    made.answered(V6, Answer(10_000), 0.0)
    for _ in range(8):
        made.failed(V4, Failure.TIMEOUT, now)
        due = next(t for t in range(int(now) + 1, int(now) + 100) if V4 in made.due(float(t)))
        waits.append(due - now)
        now = float(due)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_old_addresses_stay_while_lookups_fail() -> None:
    made = directory(GPU)
    made.due(0.0)
    made.answered(V4, Answer(1, ("10.0.0.1",)), 0.0)
    made.answered(V6, Answer(1), 0.0)
    assert addresses(made) == ["10.0.0.1:8000"]
    made.failed(V4, Failure.NO_SUCH_NAME, 5.0)
    made.set_targets([GPU, LITERAL], 6.0)
    assert addresses(made, 7.0) == ["10.0.0.1:8000", "10.9.9.9:8000"]


def test_nothing_is_said_while_nothing_was_ever_answered() -> None:
    made = directory(GPU)
    made.due(0.0)
    for question in (V4, V6):
        made.failed(question, Failure.TIMEOUT, 1.0)
    assert addresses(made, 100.0) is None
    made.answered(V4, Answer(1, ("10.0.0.1",)), 101.0)
    assert addresses(made, 101.0) == ["10.0.0.1:8000"]


def test_an_empty_answer_empties_the_name() -> None:
    made = directory(GPU)
    made.due(0.0)
    made.answered(V4, Answer(1, ("10.0.0.1",)), 0.0)
    made.answered(V6, Answer(1), 0.0)
    addresses(made)
    made.answered(V4, Answer(1), 5.0)
    assert addresses(made, 5.0) == []


def test_shuffled_answers_are_no_change() -> None:
    made = directory(GPU)
    made.due(0.0)
    made.answered(V6, Answer(1), 0.0)
    made.answered(V4, Answer(1, ("10.0.0.1", "10.0.0.2")), 0.0)
    assert addresses(made) is not None
    made.answered(V4, Answer(9, ("10.0.0.2", "10.0.0.1")), 1.0)
    assert addresses(made, 1.0) is None


FAMILIES = {
    Family.V4_PREFERRED: (["10.0.0.1:8000"], ["[fd00::1]:8000"]),
    Family.V6_PREFERRED: (["[fd00::1]:8000"], ["[fd00::1]:8000"]),
    Family.ALL: (["10.0.0.1:8000", "[fd00::1]:8000"], ["[fd00::1]:8000"]),
}


@pytest.mark.parametrize("family", Family)
def test_a_server_with_two_families_is_one_endpoint(family: Family) -> None:
    both, only_v6 = FAMILIES[family]
    made = directory(GPU, family=family)
    made.due(0.0)
    made.answered(V4, Answer(1, ("10.0.0.1",)), 0.0)
    made.answered(V6, Answer(1, ("fd00::1",)), 0.0)
    assert addresses(made) == both
    made.answered(V4, Answer(1), 1.0)
    assert addresses(made, 1.0) == only_v6


NAMES = {
    "a name with one address names its endpoint": (GPU, ("10.0.0.1",), ["gpu:8000"]),
    "one with several, each": (GPU, ("10.0.0.1", "10.0.0.2"), ["gpu:8000/10.0.0.1", "gpu:8000/10.0.0.2"]),
    "a given name counts more": (HostTarget("gpu", 1, "vllm"), ("10.0.0.1",), ["vllm"]),
    "and is kept apart": (HostTarget("gpu", 1, "vllm"), ("10.0.0.1", "10.0.0.2"), ["vllm/10.0.0.1", "vllm/10.0.0.2"]),
}


@pytest.mark.parametrize(("target", "found", "names"), NAMES.values(), ids=NAMES)
def test_endpoints_have_names_for_people(target: HostTarget, found: tuple[str, ...], names: list[str]) -> None:
    made = directory(target)
    made.due(0.0)
    made.answered(V4, Answer(1, found), 0.0)
    made.answered(V6, Answer(1), 0.0)
    assert [spec.name for spec in made.specs(0.0) or ()] == names


def test_a_service_is_the_hosts_of_its_best_priority() -> None:
    made = directory(ServiceTarget("_v._tcp.x", labels={"role": "decode"}, metrics_port=9))
    assert made.due(0.0) == [Question("_v._tcp.x", SRV)]
    records = (ServiceRecord("gpu", 8000), ServiceRecord("10.0.0.7", 8001), ServiceRecord("spare", 8000, priority=1))
    made.answered(Question("_v._tcp.x", SRV), Answer(30, services=records), 0.0)
    assert made.due(0.0) == [V4, V6]
    made.answered(V4, Answer(30, ("10.0.0.1",)), 0.1)
    made.answered(V6, Answer(30), 0.1)
    specs = made.specs(0.1) or ()
    assert [(s.address, s.name, s.metrics_address, s.labels) for s in specs] == [
        ("10.0.0.7:8001", "", "10.0.0.7:9", {"role": "decode"}),
        ("10.0.0.1:8000", "gpu:8000", "10.0.0.1:9", {"role": "decode"}),
    ]
    made.answered(Question("_v._tcp.x", SRV), Answer(30, services=records[1:]), 31.0)
    assert addresses(made, 31.0) == ["10.0.0.7:8001"]
    assert V4 not in made.due(1000.0)


def test_a_target_that_left_is_asked_for_no_more_and_its_late_answer_is_nothing() -> None:
    made = directory(GPU, LITERAL)
    made.due(0.0)
    made.set_targets([LITERAL], 0.1)
    assert not made.answered(V4, Answer(1, ("10.0.0.1",)), 0.2)
    assert not made.failed(V6, Failure.TIMEOUT, 0.2)
    assert addresses(made, 0.2) == ["10.9.9.9:8000"]
    assert made.due(1e9) == []


def test_names_that_stay_keep_their_answers() -> None:
    made = directory(GPU)
    made.due(0.0)
    made.answered(V4, Answer(30, ("10.0.0.1",)), 0.0)
    made.answered(V6, Answer(30), 0.0)
    made.set_targets([HostTarget("gpu", 8001)], 1.0)
    assert made.due(1.0) == []
    assert addresses(made, 1.0) == ["10.0.0.1:8001"]


def test_each_kind_of_failure_is_news_once_and_so_is_recovery() -> None:
    made = directory(GPU)
    made.due(0.0)
    news = [
        made.failed(V4, Failure.TIMEOUT, 0.0),
        made.failed(V6, Failure.TIMEOUT, 0.0),
        made.failed(V4, Failure.TIMEOUT, 1.0),
        made.failed(V4, Failure.NO_SUCH_NAME, 2.0),
        made.answered(V4, Answer(1), 3.0),
        made.answered(V4, Answer(1), 4.0),
    ]
    assert news == [True, False, False, True, True, False]


class Lookups(RuleBasedStateMachine):
    """Any order of events: each question is asked one at a time, never forgotten, and never too often."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.directory = Directory(DnsSettings())
        self.asking: set[Question] = set()
        self.late: set[Question] = set()  # asked before the list changed: the answer may be for a question that left
        self.asked_at: dict[Question, float] = {}

    @rule(listing=st.lists(st.sampled_from([GPU, LITERAL, HostTarget("gpv", 1), SERVICE]), max_size=4))
    def listed(self, listing: list[Target]) -> None:
        self.directory.set_targets(listing, self.now)
        self.late |= self.asking
        self.asking.clear()
        self.asked_at.clear()

    @rule(delay=st.sampled_from([0.0, 0.3, 1.0, 61.0]))
    def waited(self, delay: float) -> None:
        self.now += delay
        for question in self.directory.due(self.now):
            assert question in self.late or question not in self.asking
            assert self.now - self.asked_at.get(question, -math.inf) >= 1.0
            self.asking.add(question)
            self.asked_at[question] = self.now

    @precondition(lambda self: self.asking | self.late)
    @rule(
        data=st.data(),
        answer=st.sampled_from(
            [Answer(0, ("10.0.0.1",)), Answer(1e9), Answer(3, (), (ServiceRecord("gpx", 1),)), None]
        ),
    )
    def ended(self, data: st.DataObject, answer: Answer | None) -> None:
        question = data.draw(st.sampled_from(sorted(self.asking | self.late, key=str)))
        self.asking.discard(question)
        if answer is None:
            self.directory.failed(question, Failure.OTHER, self.now)
        else:
            self.directory.answered(question, answer, self.now)

    @invariant()
    def wakes_in_time(self) -> None:
        assert self.asking or self.late or self.directory.wake_at(self.now) <= self.now + 60.0 or not self._has_names()

    def _has_names(self) -> bool:
        return "0 questions" not in repr(self.directory)


Lookups.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLookups = Lookups.TestCase

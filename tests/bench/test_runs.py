"""What becomes of exchanges, by what is answered to them."""

from __future__ import annotations

import pytest

from bench.extproc.exchanges import AnswerKind, exchange
from bench.extproc.http2 import LOST, NO_ERROR, Connection, request_headers
from bench.extproc.runs import Fate, Run, Tally
from epp.extproc import wire_pb2 as wire
from epp.extproc.messages import body_continue, headers_answer, immediate, set_destination, streamed_body

CANCEL = 8
BODY = bytes(400)


class Driver:
    """Notes what a run tells."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def picked(self, run: Run) -> None:
        self.heard.append("picked")

    def ended(self, run: Run, fate: Fate) -> None:
        self.heard.append(fate.value)


def pick() -> wire.ProcessingResponse:
    answer = headers_answer(reply=False, set_headers=(("x-gateway-destination-endpoint", "10.0.0.1:80"),))
    set_destination(answer, ("10.0.0.1:80",))
    return answer


PICK = pick()
ECHO = streamed_body(BODY, reply=False, end=True)[0]
REPLY = headers_answer(reply=True)
CHUNK = streamed_body(b"x", reply=True, end=False)[0]
REFUSAL = immediate(503, (), b"{}", "no")

CASES: dict[str, tuple[list[wire.ProcessingResponse], int | None, list[str]]] = {
    "all answered": ([PICK, ECHO, REPLY, CHUNK, CHUNK], None, ["picked", "done"]),
    "all answered, then a reset without error": ([PICK, ECHO, REPLY, CHUNK, CHUNK], NO_ERROR, ["picked", "done"]),
    "an overloaded picker": ([PICK, ECHO], None, ["picked", "closed after the pick"]),
    "a refusal": ([REFUSAL], None, ["refused"]),
    "no answer": ([], None, ["failed"]),
    "a pick without a destination": ([headers_answer(reply=False), ECHO], None, ["failed"]),
    "a pick without its body": ([PICK], None, ["failed"]),
    "a chunk is missing": ([PICK, ECHO, REPLY, CHUNK], None, ["picked", "failed"]),
    "another mode's answer": ([PICK, body_continue(reply=False)], None, ["failed"]),
    "reset after the pick": ([PICK, ECHO], CANCEL, ["picked", "failed"]),
    "the connection is lost": ([PICK, ECHO, REPLY], LOST, ["picked", "failed"]),
}


@pytest.mark.parametrize(("answers", "error", "heard"), CASES.values(), ids=CASES)
def test_fate(answers: list[wire.ProcessingResponse], error: int | None, heard: list[str]) -> None:
    driver = Driver()
    run = Run(Connection(request_headers("/s/M", "h")), exchange(len(BODY), 1), 1, driver, 0.0)
    for answer in answers:
        data = answer.SerializeToString()
        run.message(data[:256], len(data))
    run.closed(error)
    assert driver.heard == heard
    assert run.over


def test_kinds_are_the_tags_of_the_protocol() -> None:
    answers = {"REQUEST_HEADERS": PICK, "REPLY_HEADERS": REPLY, "REQUEST_BODY": ECHO, "REPLY_BODY": CHUNK}
    for name, answer in answers.items():
        assert answer.SerializeToString()[0] == AnswerKind[name].value
    assert REFUSAL.SerializeToString()[0] == AnswerKind.REFUSAL.value


def test_a_tally_is_sound_when_all_were_answered_in_full() -> None:
    tally = Tally(begun=2)
    tally.fates[Fate.DONE] = 1
    assert not tally.sound
    tally.fates[Fate.DONE] = 2
    assert tally.sound
    assert tally.ended == 2

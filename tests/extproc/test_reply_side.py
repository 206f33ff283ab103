"""When and how the bytes of a reply are changed."""

import pytest

from epp.exchange import Pick, ReplyEnd, ReplyFirstData
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings
from epp.requests import ModelRestorer
from tests.extproc.transcript import Proxy, describe

CUT = b'{"model":"theirs"} and "model":"the'
"""What may be the beginning of a name at its end."""

RESTORED = b'{"model":"mine"} and "model":"the'


class Reply:
    """An exchange that has been picked, with a name to be restored."""

    def __init__(self, mode: str, headers: str | None = "reply-headers 200") -> None:
        self.exchange = Exchange(ExchangeSettings(), BodyBudget(1 << 20))
        self.proxy = Proxy()
        self.exchange.receive(self.proxy.message(f"headers duplex/{mode} eos".split()))
        self.exchange.answer(Pick(("10.0.0.7:8000",), reply_transform=ModelRestorer("theirs", "mine")))
        self.answer = ""
        if headers:
            self.exchange.receive(self.proxy.message(headers.split()))
            self.answer = describe(self.exchange.answer_reply()[0])  # type: ignore[arg-type]

    def body(self, data: bytes, *, end: bool = False) -> bytes:
        """What goes on in the place of a chunk."""
        message = wire.ProcessingRequest()
        message.response_body.body = data
        message.response_body.end_of_stream = end
        return b"".join(self._sent(step, data) for step in self.exchange.receive(message))

    def trailers(self) -> bytes:
        steps = self.exchange.receive(self.proxy.message(["reply-trailers"]))
        assert any(isinstance(step, ReplyEnd) for step in steps)
        return b"".join(self._sent(step, b"") for step in steps)

    @staticmethod
    def _sent(step: object, data: bytes) -> bytes:
        if not isinstance(step, wire.ProcessingResponse) or not step.HasField("response_body"):
            return b""
        mutation = step.response_body.response.body_mutation
        match mutation.WhichOneof("mutation"):
            case "streamed_response":
                return mutation.streamed_response.body
            case "body":
                return mutation.body
            case "clear_body":
                return b""
            case _:
                return data


@pytest.mark.parametrize("mode", ["duplex", "streamed", "buffered", "partial"])
def test_the_clients_name_is_put_back(mode: str) -> None:
    reply = Reply(mode)
    assert reply.answer == "reply-headers -content-length"
    assert reply.body(CUT, end=True) == RESTORED


@pytest.mark.parametrize("mode", ["buffered", "partial"])
def test_a_buffered_body_goes_on_whole_also_when_its_message_ends_nothing(mode: str) -> None:
    """Trailers follow it, or a rest that passes by: no later message takes what would be held back."""
    reply = Reply(mode)
    assert reply.body(CUT) == RESTORED
    assert reply.trailers() == b""


@pytest.mark.parametrize("cut", range(len(CUT) + 1))
def test_in_a_streamed_body_a_name_is_put_back_wherever_it_is_cut(cut: int) -> None:
    reply = Reply("streamed")
    assert reply.body(CUT[:cut]) + reply.body(CUT[cut:]) + reply.body(b"", end=True) == RESTORED


def test_in_duplex_what_is_held_back_goes_out_before_the_trailers() -> None:
    reply = Reply("duplex")
    assert reply.body(CUT) + reply.trailers() == RESTORED


@pytest.mark.parametrize(("encoding", "first"), [("", False), (" content-encoding=gzip", True)])
def test_of_a_compressed_event_stream_the_first_bytes_are_the_first_data(encoding: str, first: bool) -> None:
    reply = Reply("duplex", f"reply-headers 200 content-type=text/event-stream{encoding}")
    message = wire.ProcessingRequest()
    message.response_body.body = b"\x1f\x8b\x08"
    assert (ReplyFirstData() in reply.exchange.receive(message)) is first


@pytest.mark.parametrize("mode", ["duplex", "streamed", "buffered", "partial"])
@pytest.mark.parametrize("headers", [None, "reply-headers 200 content-encoding=gzip"], ids=["unseen", "compressed"])
def test_a_reply_is_left_alone_unless_its_headers_say_that_it_can_be_changed(mode: str, headers: str | None) -> None:
    reply = Reply(mode, headers)
    assert reply.answer == ("reply-headers" if headers else "")
    assert reply.body(CUT) + reply.body(b"irs", end=True) == CUT + b"irs"

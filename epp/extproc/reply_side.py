"""The reply half of an exchange: passes the reply on in the shape that its mode demands, and watches it go by.

| response body mode   | each chunk is answered with                        |
|----------------------|----------------------------------------------------|
| FULL_DUPLEX_STREAMED | its own bytes, at once and in order                |
| STREAMED, BUFFERED   | one answer that leaves the bytes or replaces them  |
| NONE                 | no chunk comes                                     |

Without `protocol_config` the reply is taken as duplex. A proxy may leave reply headers out (response_header_mode:
SKIP), and a reply may come without a request (Envoy's own answer to a refused upgrade).
"""

from __future__ import annotations

from enum import Enum

from epp.exchange import Headers, Observe, Pick, ReplyEnd, ReplyEvent, ReplyFirstData, ReplyHeaders, ReplyTransform
from epp.extproc import messages
from epp.extproc import wire_pb2 as wire
from epp.extproc.metadata import served_in
from epp.extproc.reply_ends import ReplyEnds
from epp.extproc.request_side import ProxyProtocolError

__all__ = ["ReplySide"]


class _Phase(Enum):
    START = "start"
    HEADERS_DUE = "waiting for the router's reply headers"
    FLOWING = "flowing"
    COMPLETE = "complete"


class ReplySide:
    """Reply headers, body and trailers of one exchange."""

    def __init__(self) -> None:
        self._phase = _Phase.START
        self._mode: wire.BodySendMode = wire.FULL_DUPLEX_STREAMED
        self._ends: ReplyEnds | None = None
        self._transform: ReplyTransform | None = None
        self._set_headers: tuple[tuple[str, str], ...] = ()
        self._end_in_headers = False
        self.chunks = 0
        """Body messages seen, for the metrics of the transport."""

    @property
    def started(self) -> bool:
        """Any reply message has come: the client can no longer be given another answer."""
        return self._phase is not _Phase.START

    @property
    def complete(self) -> bool:
        """The end of the reply has been seen."""
        return self._phase is _Phase.COMPLETE

    @property
    def unseen(self) -> bool:
        """Lean mode: the end of the reply will not be shown."""
        return self._mode == wire.NONE

    def configure(self, config: wire.ProtocolConfiguration) -> None:
        """Takes the modes that the proxy declares in its first message."""
        self._mode = config.response_body_mode

    def follow(self, pick: Pick) -> None:
        """Takes what the router wants done with the reply."""
        if pick.observe is Observe.ENDS:
            self._ends = ReplyEnds()
        self._transform = pick.reply_transform
        self._set_headers = pick.reply_headers

    def on_headers(self, message: wire.HttpHeaders, metadata: bytes) -> list[ReplyEvent]:
        """Reply headers; `answer_headers` must follow. Raises ProxyProtocolError when they came before."""
        if self.started:
            raise ProxyProtocolError(f"response headers in phase {self._phase.value}")
        self._phase = _Phase.HEADERS_DUE
        self._end_in_headers = message.end_of_stream
        headers = Headers((field.key, field.raw_value or field.value) for field in message.headers.headers)
        status = headers.get(":status") or ""
        event = ReplyHeaders(
            status=int(status) if status.isascii() and status.isdigit() else 0,
            content_type=(headers.get("content-type") or "").lower(),
            content_encoding=(headers.get("content-encoding") or "").lower(),
            served=served_in(metadata),
        )
        if event.content_encoding not in ("", "identity"):
            self._transform = None  # compressed bytes are passed on as they are
        if self._ends:
            self._ends.begin(event_stream="text/event-stream" in event.content_type)
        return [event]

    def answer_headers(self, extra: tuple[tuple[str, str], ...]) -> list[wire.ProcessingResponse | ReplyEvent]:
        """The answer to reply headers, with the router's own headers set."""
        assert self._phase is _Phase.HEADERS_DUE
        self._phase = _Phase.FLOWING
        length_changes = self._transform is not None and self._mode != wire.NONE and not self._end_in_headers
        response = messages.headers_answer(
            reply=True,
            set_headers=(*self._set_headers, *extra),
            remove_headers=("content-length",) if length_changes else (),
        )
        return [response, *self._complete()] if self._end_in_headers else [response]

    def on_body(self, message: wire.HttpBody) -> list[wire.ProcessingResponse | ReplyEvent]:
        """A chunk. One that comes after the end is answered where every message must be, and counts for nothing."""
        if self.complete:
            return [] if self._duplex else [messages.body_continue(reply=True)]
        self._phase = _Phase.FLOWING
        self.chunks += 1
        out: list[wire.ProcessingResponse | ReplyEvent] = [*self._pass_on(message.body, end=message.end_of_stream)]
        if self._ends and self._ends.feed(message.body):
            out.append(ReplyFirstData())
        return out + self._complete() if message.end_of_stream else out

    def on_trailers(self) -> list[wire.ProcessingResponse | ReplyEvent]:
        """Trailers end the reply. Bytes that a transform still holds can go out before them in duplex mode only."""
        out: list[wire.ProcessingResponse | ReplyEvent] = []
        if not self.complete:
            if self._transform and self._duplex:
                rest = self._transform.feed(b"", end=True)
                out += messages.streamed_body(rest, reply=True, end=False)
            out += self._complete()
        return [*out, messages.trailers_answer(reply=True)]

    @property
    def _duplex(self) -> bool:
        return self._mode == wire.FULL_DUPLEX_STREAMED

    def _pass_on(self, data: bytes, *, end: bool) -> list[wire.ProcessingResponse]:
        sent = self._transform.feed(data, end=end) if self._transform else data
        if self._duplex:
            return messages.streamed_body(sent, reply=True, end=end)
        return [messages.body_replaced(None if sent == data else sent, reply=True)]

    def _complete(self) -> list[wire.ProcessingResponse | ReplyEvent]:
        self._phase = _Phase.COMPLETE
        return [self._ends.finish() if self._ends else ReplyEnd()]

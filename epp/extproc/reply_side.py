"""The reply half of an exchange: passes the reply on in the shape that its mode demands, and watches it go by.

| response body mode   | each chunk is answered with                        |
|----------------------|----------------------------------------------------|
| FULL_DUPLEX_STREAMED | its own bytes, at once and in order                |
| STREAMED, BUFFERED   | one answer that leaves the bytes or replaces them  |
| NONE                 | no chunk comes                                     |

BUFFERED_PARTIAL is like BUFFERED; what the proxy could not buffer passes unseen. Without `protocol_config` the reply
is taken as duplex. A proxy may leave reply headers out (response_header_mode: SKIP), and a reply may come without a
request (Envoy's own answer to a refused upgrade).

A reply is changed only after its headers were seen: they tell whether it is compressed, and its length must go.
"""

from __future__ import annotations

from enum import Enum

from epp.exchange import Observe, Pick, ReplyEnd, ReplyFirstData, ReplyHeaders, ReplyTransform
from epp.extproc import messages
from epp.extproc import wire_pb2 as wire
from epp.extproc.metadata import served_in
from epp.extproc.reply_ends import ReplyEnds
from epp.extproc.steps import ProxyProtocolError, Step

__all__ = ["ReplySide"]


class _Phase(Enum):
    START = "start"
    HEADERS_DUE = "waiting for the router's reply headers"
    FLOWING = "flowing"
    COMPLETE = "complete"


_WANTED = (b":status", b"content-type", b"content-encoding")

_STATUS_DIGITS = 3

_BUFFERED = (wire.BUFFERED, wire.BUFFERED_PARTIAL)


class ReplySide:
    """Reply headers, body and trailers of one exchange."""

    def __init__(self) -> None:
        self._phase = _Phase.START
        self._mode: wire.BodySendMode = wire.FULL_DUPLEX_STREAMED
        self._ends: ReplyEnds | None = None
        self._wanted_transform: ReplyTransform | None = None
        self._transform: ReplyTransform | None = None
        self._set_headers: tuple[tuple[str, str], ...] = ()
        self._end_in_headers = False
        self._rest_unseen = False
        self.complete = False
        """The end of the reply has been seen."""
        self.chunks = 0
        """Body messages seen, for the metrics of the transport."""

    @property
    def started(self) -> bool:
        """Any reply message has come: the client can no longer be given another answer."""
        return self._phase is not _Phase.START

    @property
    def mode(self) -> wire.BodySendMode:
        """How the body comes: as declared, else duplex."""
        return self._mode

    @property
    def unseen(self) -> bool:
        """The end of the reply will not be shown: lean mode, or a body that was not buffered to its end."""
        return self._mode == wire.NONE or self._rest_unseen

    def configure(self, config: wire.ProtocolConfiguration) -> None:
        """Takes the modes that the proxy declares in its first message."""
        self._mode = config.response_body_mode

    def follow(self, pick: Pick) -> None:
        """Takes what the router wants done with the reply."""
        if pick.observe is Observe.ENDS:
            self._ends = ReplyEnds()
        self._wanted_transform = pick.reply_transform
        self._set_headers = pick.reply_headers

    def on_headers(self, message: wire.HttpHeaders, metadata: bytes) -> list[Step]:
        """Reply headers; `answer_headers` must follow. Raises ProxyProtocolError when they came before."""
        if self.started:
            raise ProxyProtocolError(f"response headers in phase {self._phase.value}")
        self._phase = _Phase.HEADERS_DUE
        self._end_in_headers = message.end_of_stream
        event = _headers_read(message.headers, metadata)
        plain = event.content_encoding in ("", "identity")
        if plain:
            self._transform = self._wanted_transform  # compressed bytes are passed on as they are
        if self._ends:
            self._ends.begin(event_stream=plain and "text/event-stream" in event.content_type)
        return [event]

    def answer_headers(self, extra: tuple[tuple[str, str], ...] | None) -> list[Step]:
        """The answer to reply headers, with the router's own headers set; None sets none at all.

        Raises what comes of headers that are no text, and has changed nothing then.
        """
        assert self._phase is _Phase.HEADERS_DUE, "reply headers are answered once"
        length_changes = self._transform is not None and self._mode != wire.NONE and not self._end_in_headers
        response = messages.headers_answer(
            reply=True,
            set_headers=() if extra is None else (*self._set_headers, *extra),
            remove_headers=("content-length",) if length_changes else (),
        )
        self._phase = _Phase.FLOWING
        return [response, self._end()] if self._end_in_headers else [response]

    def on_body(self, message: wire.HttpBody) -> list[Step]:
        """A chunk. One that comes after the end is answered where every message must be, and counts for nothing."""
        if self.complete:
            return [] if self._duplex else [messages.body_continue(reply=True)]
        self._phase = _Phase.FLOWING
        self.chunks += 1
        data, end = message.body, message.end_of_stream
        out: list[Step] = [*self._pass_on(data, end=end)]
        if self._ends and self._ends.feed(data):
            out.append(ReplyFirstData())
        if end:
            out.append(self._end())
        elif self._mode in _BUFFERED:
            self._rest_unseen = True
        return out

    def on_trailers(self) -> list[Step]:
        """Trailers end the reply. Bytes that a transform still holds can go out before them in duplex mode only: in
        STREAMED mode a reply that trailers end in the midst of a JSON member loses what there is of its name.
        """
        out: list[Step] = []
        if not self.complete:
            if self._transform and self._duplex:
                rest = self._transform.feed(b"", end=True)
                out += messages.streamed_body(rest, reply=True, end=False)
            out.append(self._end())
        return [*out, messages.trailers_answer(reply=True)]

    @property
    def _duplex(self) -> bool:
        return self._mode == wire.FULL_DUPLEX_STREAMED

    def _pass_on(self, data: bytes, *, end: bool) -> list[wire.ProcessingResponse]:
        """Nothing comes after a buffered body, also where its message does not end the reply."""
        sent = data if self._transform is None else self._transform.feed(data, end=end or self._mode in _BUFFERED)
        if self._duplex:
            return messages.streamed_body(sent, reply=True, end=end)
        return [messages.body_replaced(None if sent == data else sent, reply=True)]

    def _end(self) -> ReplyEnd:
        self._phase = _Phase.COMPLETE
        self.complete = True
        return self._ends.finish() if self._ends else ReplyEnd()


def _headers_read(headers: wire.HeaderMap, metadata: bytes) -> ReplyHeaders:
    """What is of interest of reply headers. Of several of a name the first counts, as in `Headers`."""
    values: dict[bytes, bytes] = {}
    for field in headers.headers:
        name = field.key
        if name in _WANTED and name not in values:
            values[name] = field.raw_value or field.value
    status, content_type, content_encoding = (values.get(name, b"") for name in _WANTED)
    return ReplyHeaders(
        status=int(status) if status.isdigit() and len(status) == _STATUS_DIGITS else 0,
        content_type=content_type.decode("utf-8", "surrogateescape").lower(),
        content_encoding=content_encoding.decode("utf-8", "surrogateescape").lower(),
        served=served_in(metadata),
    )

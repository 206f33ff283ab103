"""The request half of an exchange: collects the request, says when the pick is due, and writes it in the right place.

| request body mode    | pick is due at              | pick is written in                            |
|----------------------|-----------------------------|-----------------------------------------------|
| FULL_DUPLEX_STREAMED | end of the body or trailers | headers answer, then the body in pieces       |
| BUFFERED, _PARTIAL   | the body message            | body answer (headers were answered at once)   |
| STREAMED             | headers                     | headers answer; each chunk gets an answer     |
| NONE                 | headers                     | headers answer                                |
| any, headers end it  | headers                     | headers answer                                |

Without `protocol_config` (NGINX Gateway Fabric, old Envoys) a request that its headers do not end is taken as duplex.
"""

from __future__ import annotations

from enum import Enum

from epp.exchange import BodyState, Headers, Pick, ReplyView, RequestReady
from epp.extproc import messages
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.metadata import subset_in
from epp.extproc.steps import ProxyProtocolError, Step
from epp.protocol import DESTINATION

__all__ = ["RequestSide"]


class _Phase(Enum):
    START = "start"
    COLLECTING = "collecting the body"
    DUE = "waiting for the pick"
    ANSWERED = "answered"


class _Part(Enum):
    """A message that came before the pick and gets its own answer after it."""

    BODY = "body"
    TRAILERS = "trailers"


_BUFFERED = (wire.BUFFERED, wire.BUFFERED_PARTIAL)


class RequestSide:
    """Request headers, body and trailers of one exchange. Holds the body until the answer has been written."""

    def __init__(
        self,
        budget: BodyBudget,
        limit_bytes: int,
        *,
        clear_route_cache: bool = False,
        reply_shown: bool = True,
        hurried: bool = False,
    ) -> None:
        """`reply_shown`: the exchange goes on after the request phase. `hurried` is passed on to the router."""
        self._budget = budget
        self._limit_bytes = limit_bytes
        self._clear_route_cache = clear_route_cache
        self._hurried = hurried
        self._reply_shown = reply_shown
        self._phase = _Phase.START
        self._mode: wire.BodySendMode = wire.FULL_DUPLEX_STREAMED
        self._reply_view = ReplyView.CHUNKS if reply_shown else ReplyView.NOTHING
        self._declared = False
        self._headers = Headers()
        self._subset: tuple[str, ...] | None = None
        self._body: bytes | bytearray = b""
        self._body_seen = False
        self._refused_as: BodyState | None = None
        self._body_state = BodyState.ABSENT
        self._in_headers = True
        self._trailers_end_it = False
        self._owed: list[_Part] = []
        self.ended = False
        """The proxy has shown all that it will show of the request, but perhaps for trailers."""

    @property
    def due(self) -> bool:
        """The pick is due and has not been answered."""
        return self._phase is _Phase.DUE

    @property
    def answered(self) -> bool:
        """The pick has been answered."""
        return self._phase is _Phase.ANSWERED

    @property
    def mode(self) -> wire.BodySendMode:
        """How the body comes: as declared, else duplex."""
        return self._mode

    @property
    def content_length_sent(self) -> bool:
        """The client declared a length, which has to follow a change of the body."""
        return "content-length" in self._headers

    def configure(self, config: wire.ProtocolConfiguration) -> None:
        """Takes the modes that the proxy declares in its first message."""
        self._declared = True
        self._mode = config.request_body_mode
        if self._reply_shown and config.response_body_mode == wire.NONE:
            self._reply_view = ReplyView.HEADERS

    def note_metadata(self, metadata: bytes) -> None:
        """Reads the subset hint, which may come on any message before the pick is due; the last one counts."""
        if metadata and self._phase in (_Phase.START, _Phase.COLLECTING):
            hint = subset_in(metadata)
            if hint is not None:
                self._subset = hint

    def on_headers(self, message: wire.HttpHeaders) -> list[Step]:
        """Request headers. Raises ProxyProtocolError when they came before."""
        if self._phase is not _Phase.START:
            raise ProxyProtocolError(f"request headers in phase {self._phase.value}")
        self._headers = Headers([(field.key, field.raw_value or field.value) for field in message.headers.headers])
        self._phase = _Phase.COLLECTING
        if message.end_of_stream:
            self.ended = True
            return [self._ready(BodyState.ABSENT)]
        if self._mode in (wire.NONE, wire.STREAMED):
            self.ended = self._mode == wire.NONE
            return [self._ready(BodyState.UNSEEN)]
        if self._mode in _BUFFERED:
            self._in_headers = False
            return [messages.headers_answer(reply=False, remove_headers=self._spoofed())]
        return []

    def on_body(self, message: wire.HttpBody) -> list[Step]:
        """A chunk, or in buffered modes all that will be seen of the body."""
        if self._phase is _Phase.START and self._mode in _BUFFERED:
            self._phase = _Phase.COLLECTING  # the proxy was told not to send headers (request_header_mode: SKIP)
            self._in_headers = False
        if self._phase is _Phase.START:
            raise ProxyProtocolError("request body before request headers")
        # The rest of a body that the proxy did not buffer whole passes us by.
        self.ended = self.ended or message.end_of_stream or self._mode == wire.BUFFERED_PARTIAL
        if self._phase is not _Phase.COLLECTING:
            # Duplex: Envoy may deliver the last chunk of a large body a second time (envoy#46237).
            return [] if self._mode == wire.FULL_DUPLEX_STREAMED else self._answer_or_owe(_Part.BODY)
        self._body_seen = True
        self._collect(message.body)
        if self._mode in _BUFFERED:
            cut = self._mode == wire.BUFFERED_PARTIAL and not message.end_of_stream
            return [self._ready(BodyState.CUT if cut else BodyState.COMPLETE)]
        if message.end_of_stream or self._refused_as:
            return [self._ready(BodyState.COMPLETE)]
        return []

    def on_trailers(self) -> list[Step]:
        """Trailers end the request; after them no chunk with end_of_stream comes."""
        if self._phase is _Phase.START:
            raise ProxyProtocolError("request trailers before request headers")
        self.ended = True
        if self._phase is _Phase.COLLECTING:
            self._trailers_end_it = True
            self._owed.append(_Part.TRAILERS)
            return [self._ready(BodyState.COMPLETE)]
        return self._answer_or_owe(_Part.TRAILERS)

    def answer(self, pick: Pick) -> list[wire.ProcessingResponse]:
        """The messages that carry the pick, and after them the answers that messages still wait for."""
        assert self.due, "a pick is answered once, when it is due"
        assert pick.destinations, "a pick names at least one destination"
        assert self._refused_as is None, "a body that was dropped cannot be forwarded"
        self._phase = _Phase.ANSWERED
        replaced = pick.body if self._body_state is BodyState.COMPLETE else None
        set_headers = ((DESTINATION, ",".join(pick.destinations)), *pick.set_headers)
        if replaced is not None and self.content_length_sent:
            set_headers += (("content-length", str(len(replaced))),)
        if self._in_headers:
            out = self._answer_in_headers(pick, set_headers, replaced)
        else:
            out = self._answer_in_body(pick, set_headers, replaced)
        messages.set_destination(out[0], pick.destinations)
        for part in self._owed:
            out.append(_plain_answer(part))
        self._owed.clear()
        return out

    def release_body(self) -> None:
        """Gives back what the body took from the budget: it has been written, or nobody wants it any more."""
        if self._body:
            self._budget.give(len(self._body))
            self._body = b""

    def _answer_in_headers(
        self, pick: Pick, set_headers: tuple[tuple[str, str], ...], replaced: bytes | None
    ) -> list[wire.ProcessingResponse]:
        out = [
            messages.headers_answer(
                reply=False,
                set_headers=set_headers,
                remove_headers=pick.remove_headers,
                clear_route_cache=self._clear_route_cache,
            )
        ]
        if self._body_state is BodyState.COMPLETE:
            body = self._body if replaced is None else replaced
            out += messages.streamed_body(bytes(body), reply=False, end=not self._trailers_end_it)
        return out

    def _answer_in_body(
        self, pick: Pick, set_headers: tuple[tuple[str, str], ...], replaced: bytes | None
    ) -> list[wire.ProcessingResponse]:
        if not self._body_seen:
            # Buffered mode, trailers and no body: the trailers answer is the only place left, and takes metadata only.
            self._owed.remove(_Part.TRAILERS)
            return [messages.trailers_answer(reply=False)]
        response = messages.body_replaced(replaced, reply=False)
        common = response.request_body.response
        messages.fill_mutation(common.header_mutation, set_headers, pick.remove_headers)
        common.clear_route_cache = self._clear_route_cache
        return [response]

    def _ready(self, body_state: BodyState) -> RequestReady:
        self._phase = _Phase.DUE
        self._body_state = body_state
        self._body = bytes(self._body)
        return RequestReady(
            headers=self._headers,
            body=self._body,
            body_state=self._refused_as or body_state,
            subset=self._subset,
            reply_view=self._reply_view,
            declared=self._declared,
            hurried=self._hurried,
        )

    def _collect(self, data: bytes) -> None:
        if self._refused_as:
            return
        if len(self._body) + len(data) > self._limit_bytes:
            self._refused_as = BodyState.TOO_LARGE
        elif not self._budget.take(len(data)):
            self._refused_as = BodyState.OVER_BUDGET
        else:
            self._append(data)
            return
        self.release_body()

    def _append(self, data: bytes) -> None:
        """The common body is one chunk and an empty last one: that takes no copy, and many chunks take linear time."""
        if not self._body:
            self._body = data
        elif data:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data

    def _spoofed(self) -> tuple[str, ...]:
        """The client's own destination, where headers are answered before the pick: a request that then has trailers
        and no body gets its pick in metadata alone.
        """
        return (DESTINATION,) if DESTINATION in self._headers else ()

    def _answer_or_owe(self, part: _Part) -> list[Step]:
        if self.answered:
            return [_plain_answer(part)]
        self._owed.append(part)
        return []


def _plain_answer(part: _Part) -> wire.ProcessingResponse:
    if part is _Part.TRAILERS:
        return messages.trailers_answer(reply=False)
    return messages.body_continue(reply=False)

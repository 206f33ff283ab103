"""One HTTP request's talk with the proxy. No IO and no clock: feed messages in order, write what comes back in order.

What `receive` returns is handled in order by whoever drives the exchange: a `ProcessingResponse` is written, a
`RequestReady` is answered with `answer` now or later, `ReplyHeaders` is answered with `answer_reply` at once, other
reply events only inform. `end` is called once the stream is over, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from epp.exchange import EndCause, Pick, Rejection
from epp.extproc import messages
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.reply_side import ReplySide
from epp.extproc.request_side import RequestSide
from epp.extproc.steps import ProxyProtocolError, Step

__all__ = ["Exchange", "ExchangeSettings", "ProxyProtocolError", "Step"]

DROPPED_REASON = "x-llm-d-request-dropped-reason"
"""Reply header with the machine-readable reason of a rejection, by the Go picker's name."""

_MODE_NAMES: Mapping[int, str] = {
    wire.NONE: "none",
    wire.STREAMED: "streamed",
    wire.BUFFERED: "buffered",
    wire.BUFFERED_PARTIAL: "buffered_partial",
    wire.FULL_DUPLEX_STREAMED: "duplex",
}


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """What an operator can choose about exchanges."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Limit for one request body; beyond it the answer is 413. vLLM's own limit is 32 MiB since 0.33."""
    close_after_pick: bool = False
    """End every exchange with the request phase: replies cost nothing and nothing is learned from them."""
    reply_phase: bool = True
    """The gateway shows replies. False for gateways that have no response phase (NGINX Gateway Fabric)."""
    clear_route_cache: bool = False
    """Ask Envoy to choose the route again after the pick; needed only where routes match on headers that it sets."""


class Exchange:
    """The state of one exchange. Long-lived parts of the process (settings, budget) are handed in."""

    def __init__(self, settings: ExchangeSettings, budget: BodyBudget, *, hurried: bool = False) -> None:
        self._close_settings = settings.close_after_pick
        self._reply_phase = settings.reply_phase
        self._reply_shown = settings.reply_phase and not (settings.close_after_pick or hurried)
        self._request = RequestSide(
            budget,
            settings.max_body_bytes,
            clear_route_cache=settings.clear_route_cache,
            reply_shown=self._reply_shown,
            hurried=hurried,
        )
        self._reply = ReplySide()
        self._configured = False
        self._close_after_pick = False
        self._half_closed = False
        self._refused = False
        self._over = False

    @property
    def awaiting_answer(self) -> bool:
        """A pick is due, and the client can still be helped by it."""
        return self._request.due and not (self._over or self._refused or self._reply.started)

    @property
    def finished(self) -> bool:
        """Nothing more will be written: the stream can be closed."""
        if self._over or self._refused or self._reply.complete:
            return True
        if self._close_after_pick and self._request.answered and self._request.ended:
            return True
        return self._half_closed and not self.awaiting_answer

    @property
    def request_mode(self) -> str:
        """How the request's body came: `duplex`, `buffered`, `buffered_partial`, `streamed`, or `none` when the proxy
        does not show it, or sent no message at all. A mode that is not declared, or not known, is taken as duplex.
        """
        return _MODE_NAMES.get(self._request.mode, "duplex") if self._configured else "none"

    @property
    def reply_mode(self) -> str:
        """How the reply's body came: the same words, `lean` when the proxy shows headers and trailers only, and `none`
        when the exchange was to end with the request, or no message came. An unknown mode is answered as `streamed`.
        """
        if not self._configured or (not self._reply.started and (self._close_after_pick or not self._reply_shown)):
            return "none"
        return "lean" if self._reply.mode == wire.NONE else _MODE_NAMES.get(self._reply.mode, "streamed")

    @property
    def reply_chunks(self) -> int:
        """Reply chunks that went through."""
        return self._reply.chunks

    def receive(self, message: wire.ProcessingRequest) -> list[Step]:
        """Takes the proxy's next message.

        Raises ProxyProtocolError when it breaks the protocol's order; nothing has changed then, and `refuse` tells
        whether the client can still be answered.
        """
        if self._over or self._refused or message.observability_mode:
            return []
        if not self._configured:
            self._configure(message)
        return self._dispatch(message)

    def answer(self, outcome: Pick | Rejection) -> list[wire.ProcessingResponse]:
        """What to write for the router's answer to RequestReady. Nothing when it comes too late to matter."""
        if not self.awaiting_answer:
            return []
        if isinstance(outcome, Rejection):
            return self.refuse(outcome)
        self._close_after_pick = self._close_settings or outcome.close
        self._reply.follow(outcome)
        return self._request.answer(outcome)

    def refuse(self, rejection: Rejection) -> list[wire.ProcessingResponse]:
        """Answers the client in the model server's place. Nothing once a reply has begun."""
        if self._reply.started or self._over or self._refused:
            return []
        self._refused = True
        reason = ((DROPPED_REASON, rejection.reason),) if rejection.reason else ()
        details = f"epp_{rejection.reason or rejection.status}"
        return [messages.immediate(rejection.status, (*rejection.headers, *reason), rejection.body, details)]

    def answer_reply(self, extra_headers: tuple[tuple[str, str], ...] | None = ()) -> list[Step]:
        """What to write for ReplyHeaders. Headers of the pick and `extra_headers` are set; with None, neither.

        Raises what comes of headers that are no text, and has changed nothing then: it can be called again.
        """
        return self._reply.answer_headers(extra_headers)

    def written(self) -> None:
        """All that was returned so far has been written: the request body need not be held any longer."""
        if self._request.answered or self._refused:
            self._request.release_body()

    def half_close(self) -> None:
        """The proxy will send nothing more. An answer that is due is still written."""
        self._half_closed = True

    def end(self) -> EndCause | None:
        """The stream is over. Any number of times; the first call says why, later ones None."""
        if self._over:
            return None
        cause = self._cause()
        self._over = True
        self._request.release_body()
        return cause

    def _configure(self, message: wire.ProcessingRequest) -> None:
        self._configured = True
        if message.HasField("protocol_config"):
            self._request.configure(message.protocol_config)
            self._reply.configure(message.protocol_config)

    def _dispatch(self, message: wire.ProcessingRequest) -> list[Step]:
        match message.WhichOneof("request"):
            case "response_body":
                return self._reply.on_body(message.response_body)
            case "response_headers":
                return self._reply.on_headers(message.response_headers, message.metadata_context)
            case "response_trailers":
                return self._reply.on_trailers()
            case "request_headers" | "request_body" | "request_trailers" as kind:
                return self._on_request(kind, message)
            case _:
                return []  # a kind of a later protocol version: nothing that is asked of us

    def _on_request(self, kind: str, message: wire.ProcessingRequest) -> list[Step]:
        request = self._request
        if self._reply.started and not request.answered:
            return []  # the proxy has answered the client itself: nobody waits for a pick
        request.note_metadata(message.metadata_context)
        match kind:
            case "request_headers":
                return request.on_headers(message.request_headers)
            case "request_body":
                return request.on_body(message.request_body)
            case _:
                return request.on_trailers()

    def _cause(self) -> EndCause:
        if self._refused:
            return EndCause.REFUSED
        if self._reply.complete:
            return EndCause.COMPLETE
        if not self._request.answered:
            return EndCause.ABORTED
        if self._reply.started:
            return EndCause.REPLY_UNSEEN if self._reply.unseen else EndCause.ABORTED
        if self._close_after_pick or not self._reply_phase:
            return EndCause.REQUEST_ONLY
        return EndCause.NO_REPLY

"""The vocabulary of the seam between a proxy and the router: events go in, answers come out.

Two rules keep things out of this file. Nothing of gRPC or Envoy: a transport translates its messages into these types
and back. Nothing of LLMs: a body is bytes, a header is text; what they mean is found out above.

An *exchange* is one HTTP request and its reply, as a proxy shows it. A transport emits `RequestReady` at most once per
exchange, then the reply events in the order in which they are declared here, and `EndCause` exactly once, last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, Protocol

__all__ = [
    "Answer",
    "BodyState",
    "EndCause",
    "ExchangeId",
    "Headers",
    "Observe",
    "Pick",
    "Rejection",
    "ReplyEnd",
    "ReplyEvent",
    "ReplyFirstData",
    "ReplyHeaders",
    "ReplyTransform",
    "ReplyView",
    "RequestReady",
]

ExchangeId = NewType("ExchangeId", int)
"""Names one exchange. Never reused within a process: a late answer or event for one that is over names nothing."""


class Headers:
    """Header fields of one message, read by lower-case name; the first of several values wins, as it does in Envoy.

    Values that are not UTF-8 are kept by surrogate escapes: they can be compared and written back, never lost.
    """

    __slots__ = ("_fields", "_index")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._fields = tuple(fields)
        self._index: dict[bytes, bytes] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Headers:
        """Headers from text, as tests and file-driven commands have them. Names are lowered."""
        return cls((name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in fields.items())

    def get(self, name: str) -> str | None:
        """First value of the field, or None. `name` is lower-case."""
        value = self._by_name().get(name.encode())
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def among(self, names: frozenset[bytes]) -> tuple[str, ...]:
        """Which of the names, lower-case, there are. Cheaper than asking for each."""
        return tuple(name.decode() for name in self._by_name().keys() & names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode() in self._by_name()

    def items(self) -> Iterable[tuple[str, str]]:
        """All fields in order, duplicates included."""
        for name, value in self._fields:
            yield name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")

    def _by_name(self) -> dict[bytes, bytes]:
        if self._index is None:
            self._index = dict(reversed(self._fields))
        return self._index

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<Headers {len(self._fields)} {self.get(':method') or ''} {self.get(':path') or ''}>"


class BodyState(Enum):
    """How much of a request's body the exchange could see when the pick was due."""

    ABSENT = "absent"
    """The headers ended the request."""
    COMPLETE = "complete"
    CUT = "cut"
    """A first part only (BUFFERED_PARTIAL): it goes on as it is, whatever its form."""
    UNSEEN = "unseen"
    """There is one, but the proxy's mode does not show it before the pick."""
    TOO_LARGE = "too-large"
    """More than the limit for one body; it was dropped, so the request can only be refused."""
    OVER_BUDGET = "over-budget"
    """More than is left for all bodies in flight; it was dropped likewise."""


class ReplyView(Enum):
    """What the proxy will show of the reply, as far as is known when the pick is due."""

    CHUNKS = "chunks"
    HEADERS = "headers"
    """Headers at most (lean mode): when the exchange ends, a complete reply and an aborted one look alike."""
    NOTHING = "nothing"
    """The exchange ends with the request phase."""


class Observe(Enum):
    """What the router wants to see of a reply; the transport collects it without the router."""

    NOTHING = "nothing"
    ENDS = "ends"
    """Headers, the moment of the first data, and at the end the first and last bytes of the body."""


class ReplyTransform(Protocol):
    """Changes the bytes of a reply on their way to the client, chunk by chunk."""

    def feed(self, data: bytes, *, end: bool) -> bytes:
        """The bytes to send instead of `data`. May hold some back until more comes, but nothing with `end`, which a
        proxy's mode can demand before the reply is over.
        """
        ...


@dataclass(frozen=True, slots=True)
class RequestReady:
    """A request as far as it will be seen: the pick is due now. Comes once per exchange, before any answer."""

    headers: Headers
    body: bytes = b""
    body_state: BodyState = BodyState.ABSENT
    subset: tuple[str, ...] | None = None
    """`ip:port` or bare `ip` that the gateway allows. None: no hint. Empty: a hint that allows nothing, hence 503
    (Endpoint Picker Protocol, GIE proposal 004)."""
    reply_view: ReplyView = ReplyView.CHUNKS
    declared: bool = False
    """The proxy told its modes (`protocol_config`), so that gateways of different kinds can be told apart."""
    hurried: bool = False
    """The process is overloaded: pick by load alone and close after the request phase."""


@dataclass(frozen=True, slots=True)
class ReplyHeaders:
    """The reply began, be it the model server's or the proxy's own (connect failure, time-out)."""

    status: int
    """HTTP status; 0 when the proxy sent none that can be read."""
    content_type: str = ""
    content_encoding: str = ""
    served: str | None = None
    """Endpoint that really answered, when the proxy reports it (`x-gateway-destination-endpoint-served`)."""


@dataclass(frozen=True, slots=True)
class ReplyFirstData:
    """First data of the reply: of an event stream the first event, not a keep-alive comment and not the headers."""


@dataclass(frozen=True, slots=True)
class ReplyEnd:
    """The reply is complete."""

    head: bytes = b""
    """First bytes of the body, as the model server sent them. Of a small body all of it; then `tail` is empty."""
    tail: bytes = b""
    """Last bytes of the body after `head`."""
    size_bytes: int = 0
    data_events: int = 0
    """Server-sent events seen that carry data; 0 when the reply is not an event stream."""


ReplyEvent = ReplyHeaders | ReplyFirstData | ReplyEnd


class EndCause(Enum):
    """Why an exchange is over."""

    COMPLETE = "complete"
    """The end of the reply was seen."""
    REPLY_UNSEEN = "reply-unseen"
    """Lean mode, or a body that the proxy did not buffer whole: the reply began and is over, complete or not."""
    ABORTED = "aborted"
    """The client or the proxy gave up while the request or the reply was under way."""
    REQUEST_ONLY = "request-only"
    """The exchange was to end with the request phase, so nothing is known about the reply."""
    NO_REPLY = "no-reply"
    """Picked, answered, and ended before any reply message: an abort, or a gateway that has no response phase."""
    REFUSED = "refused"
    """Answered with a rejection."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Forward the request to the first of `destinations` that accepts it."""

    destinations: tuple[str, ...]
    """`ip:port`, `[v6]:port`; at least one, best first."""
    set_headers: tuple[tuple[str, str], ...] = ()
    """Set on the request, beside the destination header. Only what changes."""
    remove_headers: tuple[str, ...] = ()
    body: bytes | None = None
    """Replaces a COMPLETE body. None: the body goes on byte-identical."""
    observe: Observe = Observe.ENDS
    reply_headers: tuple[tuple[str, str], ...] = ()
    """Set on the reply."""
    reply_transform: ReplyTransform | None = None
    close: bool = False
    """End the exchange after the request phase: the reply goes by unseen and costs nothing."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Answer the client at once with an error of our own."""

    status: int
    reason: str
    """Machine-readable, sent as `x-llm-d-request-dropped-reason` when not empty."""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=(("content-type", "application/json"),))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the router decided for an exchange."""

    id: ExchangeId
    outcome: Pick | Rejection

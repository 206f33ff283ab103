"""Which endpoint a session belongs to: by a token that the client brings back, or by an id and our own memory.

What a client sends is a wish. A token names an endpoint, so it is looked up among the candidates and can choose
nothing else; an id is only ever compared, as a digest of fixed size.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from epp.endpoints import EndpointSpec, EndpointTable
from epp.exchange import Headers
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than
from epp.scheduling.view import View

__all__ = [
    "EncodedEndpointHeaderConfig",
    "EndpointTokens",
    "SessionBindings",
    "SessionIdConfig",
    "SessionIdSource",
]

MAX_SESSIONS = 65_536
"""Bindings that one plugin keeps: 14 MB, and 218 new sessions a second at the default time to live. The Go picker sets
no bound."""

_MAX_TOKEN_CHARS = 1024
"""A namespace, a slash and a pod's name have 317 at most (RFC 1123 labels), in base64 424."""


@dataclass(frozen=True, slots=True)
class EncodedEndpointHeaderConfig:
    """Parameters of the strategy `encoded_endpoint_header`."""

    header: str = "x-session-token"
    """Of request and reply."""

    @property
    def name(self) -> str:
        """The header's name in lower case; the default when it is empty."""
        return self.header.strip().lower() or "x-session-token"


@dataclass(frozen=True, slots=True)
class SessionIdSource:
    """One place where a session id may stand: exactly one of the first three."""

    header: str = ""
    """Name of a request header."""
    cookie: str = ""
    """Name of a cookie. Ours: the Go picker has it in `session-id-producer`."""
    attribute: str = ""
    """What another plugin publishes: here the place that `session-id-producer` names, and without it no id."""
    producer: str = ""
    """Without effect: the plugin that publishes the attribute."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.header, self.cookie, self.attribute))) != 1:
            raise ValueError("a source of session ids needs exactly one of header, cookie or attribute")

    def read(self, headers: Headers) -> str:
        """The id, or an empty text."""
        if self.header:
            return (headers.get(self.header.strip().lower()) or "").strip()
        if self.cookie:
            return next((value for name, value in _cookies(headers) if name == self.cookie), "")
        return ""


_DEFAULT_SOURCES = (SessionIdSource(header="x-session-id"),)


@dataclass(frozen=True, slots=True)
class SessionIdConfig:
    """Parameters of the strategy `session_id`."""

    sources: tuple[SessionIdSource, ...] = ()
    """The first that gives an id counts. None: the header `x-session-id`."""
    eviction_ttl_seconds: float = 300.0
    """How long a binding lives after the last request of its session."""
    eviction_sweep_seconds: float = 10.0
    """Without effect: what has expired goes when the next session is placed."""

    def __post_init__(self) -> None:
        more_than("evictionTtlSeconds", self.eviction_ttl_seconds, 0)
        more_than("evictionSweepSeconds", self.eviction_sweep_seconds, 0)


class EndpointTokens:
    """The strategy `encoded_endpoint_header`: each reply carries base64 of the endpoint's `namespace/name`.

    Endpoints without a name, or with the name of another one, go by their address.
    """

    def __init__(self, config: EncodedEndpointHeaderConfig) -> None:
        self._header = config.name
        self._table: EndpointTable | None = None
        self._version = -1
        self._rows: dict[str, int] = {}
        self._tokens: dict[str, str] = {}

    def home(self, request: InferenceRequest, view: View) -> int | None:
        """Index of the candidate that the request's session belongs to."""
        self._follow(view.pool.table)
        token = request.headers.get(self._header)
        row = self._rows.get(_decoded(token)) if token else None
        return None if row is None else _index_of(row, view)

    def placed(self, request: InferenceRequest, address: str, now: float) -> Mapping[str, str] | None:  # noqa: ARG002
        """The header to set on the reply."""
        token = self._tokens.get(address)
        return None if token is None else {self._header: token}

    def _follow(self, table: EndpointTable) -> None:
        if self._table is table and self._version == table.version:
            return
        self._table, self._version = table, table.version
        self._rows.clear()
        self._tokens.clear()
        for row, spec in enumerate(table.specs):
            if spec is not None:
                name = _identity(spec, self._rows)
                self._rows[name] = row
                self._tokens[spec.address] = base64.b64encode(name.encode("utf-8", "surrogateescape")).decode()


class SessionBindings:
    """The strategy `session_id`: remembers where the last request of each session went.

    A session whose endpoint has left or cannot be used is unbound, and bound again where it goes next. One whose
    endpoint is only passed over for now stays bound to it, wherever this request goes.
    """

    def __init__(self, config: SessionIdConfig, limit: int = MAX_SESSIONS) -> None:
        self._sources: Sequence[SessionIdSource] = config.sources or _DEFAULT_SOURCES
        self._ttl_s = config.eviction_ttl_seconds
        self._limit = limit
        self._bindings: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        """Address and time of the last request by digest of the id, least recently used first."""

    def __len__(self) -> int:
        return len(self._bindings)

    def home(self, request: InferenceRequest, view: View) -> int | None:
        """Index of the candidate that the request's session is bound to."""
        session = self._session(request)
        address = self._bound(session, view.now) if session else None
        if address is None:
            return None
        row = view.pool.table.row_of(address)
        if row is None or not view.pool.table.columns.usable[row]:
            del self._bindings[session]
            return None
        return _index_of(row, view)

    def placed(self, request: InferenceRequest, address: str, now: float) -> None:
        """Binds the session, or keeps its binding alive."""
        session = self._session(request)
        if not session or self._bound(session, now) not in (None, address):
            return
        self._bindings[session] = address, now
        self._bindings.move_to_end(session)
        for _ in range(2):  # one comes, two may go: what has expired is swept without ever taking long
            if len(self._bindings) > self._limit or self._expired(next(iter(self._bindings.values())), now):
                self._bindings.popitem(last=False)

    def _session(self, request: InferenceRequest) -> bytes:
        """Digest of the session's id; empty when the request has none."""
        for source in self._sources:
            if session := source.read(request.headers):
                return blake2b(session.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        return b""

    def _bound(self, session: bytes, now: float) -> str | None:
        binding = self._bindings.get(session)
        return None if binding is None or self._expired(binding, now) else binding[0]

    def _expired(self, binding: tuple[str, float], now: float) -> bool:
        return now - binding[1] > self._ttl_s

    def __repr__(self) -> str:
        return f"<SessionBindings {len(self)} of {self._limit}>"


def _identity(spec: EndpointSpec, taken: Mapping[str, int]) -> str:
    name = f"{spec.namespace}/{spec.label}"
    return name if name not in taken else f"{spec.namespace}/{spec.address}"


def _decoded(token: str) -> str:
    """Text of a token; empty for what is none."""
    if len(token) > _MAX_TOKEN_CHARS:
        return ""
    try:
        return base64.b64decode(token, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""


def _index_of(row: int, view: View) -> int | None:
    """Position of a table row among the candidates, whose rows ascend."""
    index = int(np.searchsorted(view.rows, row))
    return index if index < len(view) and view.rows[index] == row else None


def _cookies(headers: Headers) -> Iterator[tuple[str, str]]:
    """Names and values of the cookie header (RFC 6265 section 4.2.1)."""
    for pair in (headers.get("cookie") or "").split(";"):
        name, _, value = pair.partition("=")
        yield name.strip(), value.strip().strip('"')

"""What the API server answers: pages of lists, events of watches, refusals. Bytes in, values out. No IO.

Objects stay raw JSON until their kind reads the few fields that it needs: a pod has 10 to 20 KB, of which some hundred
bytes are kept. Source of all forms: Kubernetes API concepts ("Efficient detection of changes", "Retrieving large
results sets in chunks") and `metav1.Status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

__all__ = [
    "ApiError",
    "Event",
    "EventKind",
    "Failing",
    "Item",
    "Lines",
    "ListedPage",
    "decode_event",
    "decode_page",
    "refusal",
]

MAX_TEXT = 300
"""Characters of what the server says that go into messages."""

MAX_LINE_BYTES = 4 * 1024 * 1024
"""etcd takes objects of 1.5 MiB; escapes in JSON make them longer."""

MAX_NUMBER = 1 << 31
"""Of seconds in `Retry-After`: more is nonsense."""


class Failing(Enum):
    """Why there is no answer of use, as far as we or an operator would act differently."""

    UNREACHABLE = "cannot be reached"
    UNAUTHORIZED = "does not accept our credentials"
    FORBIDDEN = "does not allow it"
    NOT_FOUND = "does not know this kind of object"
    GONE = "no longer knows that version"
    OVERLOADED = "asks to come back later"
    SERVER = "fails"
    BAD_ANSWER = "answers in a way that cannot be read"


class ApiError(Exception):
    """A request without an answer of use. Also a value: what decides takes it as an event."""

    def __init__(self, failing: Failing, text: str = "", retry_after_s: float | None = None) -> None:
        """`text`: what was said, for people. `retry_after_s`: when the server says when to come back."""
        super().__init__(f"{failing.value} ({text})" if text else failing.value)
        self.failing = failing
        self.text = text
        self.retry_after_s = retry_after_s


class EventKind(Enum):
    """Types of watch events. Source: `k8s.io/apimachinery/pkg/watch`."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a list. Its name is its identity, as all lists are of one kind in one namespace."""

    name: str
    object: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ListedPage:
    """One page of a list."""

    items: tuple[Item, ...]
    resource_version: str
    next_token: str
    """Asks for the next page; empty for the last one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch that is no error."""

    kind: EventKind
    name: str
    """Empty in a bookmark."""
    object: msgspec.Raw
    resource_version: str


class Lines:
    """Cuts the bytes of a watch into lines."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without empty ones. Raises ApiError when one has no end."""
        head, *more = data.split(b"\n")
        self._rest.append(head)
        self._size += len(head)
        if self._size > MAX_LINE_BYTES:
            raise ApiError(Failing.BAD_ANSWER, f"a watch event of more than {MAX_LINE_BYTES} bytes")
        if not more:
            return []
        lines = [b"".join(self._rest), *more[:-1]]
        self._rest, self._size = [more[-1]], len(more[-1])
        return [line for line in lines if line.strip()]


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Meta


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for JSON that is wrong, not UTF-8, or too deep."""

_LIST = msgspec.json.Decoder(_List)
_LINE = msgspec.json.Decoder(_Line)
_VERSIONED = msgspec.json.Decoder(_Versioned)
_STATUS = msgspec.json.Decoder(_Status)


def decode_page(body: bytes) -> ListedPage:
    """A page of a list. Raises ApiError."""
    try:
        listed = _LIST.decode(body)
        items = tuple(Item(_VERSIONED.decode(each).metadata.name, each) for each in listed.items or ())
    except _UNREADABLE as error:
        raise ApiError(Failing.BAD_ANSWER, _short(f"a list: {error}")) from None
    if not listed.metadata.resource_version:  # a watch from no version would tell of all objects again
        raise ApiError(Failing.BAD_ANSWER, "a list without resourceVersion")
    return ListedPage(items, listed.metadata.resource_version, listed.metadata.continue_)


def decode_event(line: bytes) -> Event:
    """A line of a watch. Raises ApiError for an ERROR event and for what cannot be read."""
    try:
        read = _LINE.decode(line)
        kind = EventKind(read.type)
        if kind is EventKind.ERROR:
            raise _from_status(_STATUS.decode(read.object), 0, None)
        meta = _VERSIONED.decode(read.object).metadata
    except _UNREADABLE as error:
        raise ApiError(Failing.BAD_ANSWER, _short(f"a watch event: {error}")) from None
    if not meta.resource_version:
        raise ApiError(Failing.BAD_ANSWER, "a watch event without resourceVersion")
    return Event(kind, meta.name, read.object, meta.resource_version)


def refusal(http_status: int, body: bytes, retry_after: str | None) -> ApiError:
    """What an answer other than 200 means. `retry_after`: the header, when there is one."""
    try:
        status = _STATUS.decode(body)
    except _UNREADABLE:  # a proxy in between
        status = _Status(message=body[:MAX_TEXT].decode("utf-8", "replace"))
    return _from_status(status, http_status, _seconds(retry_after))


def _from_status(status: _Status, http_status: int, after_s: float | None) -> ApiError:
    """`metav1.Status` says more than the HTTP status, and stands alone in an ERROR event."""
    code = status.code or http_status
    kinds = {
        401: Failing.UNAUTHORIZED,
        403: Failing.FORBIDDEN,
        404: Failing.NOT_FOUND,
        410: Failing.GONE,
        429: Failing.OVERLOADED,
    }
    failing = Failing.GONE if status.reason in ("Expired", "Gone") else kinds.get(code, Failing.SERVER)
    if after_s is None and status.details and 0 < status.details.retry_after_seconds < MAX_NUMBER:
        after_s = float(status.details.retry_after_seconds)
    return ApiError(failing, _short(f"{code}: {status.message or status.reason}"), after_s)


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; its form as a date needs a clock that is right, and is left out."""
    if text and text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    return None


def _short(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT]

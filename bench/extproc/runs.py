"""One exchange under way, and the count of what became of all. No IO and no clock: the player sends and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bench.extproc.exchanges import AnswerKind, Exchange, Message
from bench.extproc.http2 import NO_ERROR, Connection
from epp.protocol import DESTINATION

__all__ = ["Fate", "Run", "RunListener", "Tally"]

_DESTINATION = DESTINATION.encode()

_REPLY_BODY, _REPLY_HEADERS = AnswerKind.REPLY_BODY.value, AnswerKind.REPLY_HEADERS.value
_REQUEST_BODY, _REQUEST_HEADERS = AnswerKind.REQUEST_BODY.value, AnswerKind.REQUEST_HEADERS.value


class Fate(Enum):
    """What became of an exchange."""

    DONE = "done"
    """Answered in full."""
    CLOSED_AFTER_PICK = "closed after the pick"
    """The server picked and ended the stream before the reply: an overloaded picker's way to save work."""
    REFUSED = "refused"
    FAILED = "failed"
    """Reset, cut off, or answered with something else than asked for."""


@dataclass(slots=True)
class Tally:
    """Counts of exchanges, and how long their picks took."""

    begun: int = 0
    fates: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    pick_s: list[float] = field(default_factory=list)
    """From the first write to the end of the answer to the request."""

    @property
    def ended(self) -> int:
        """Exchanges that are over."""
        return sum(self.fates.values())

    @property
    def sound(self) -> bool:
        """All were answered in full."""
        return self.begun == self.fates[Fate.DONE]


class RunListener(Protocol):
    """Who drives a run."""

    def picked(self, run: Run) -> None:
        """The request is answered: the reply may come. Called once, unless the run fails before."""
        ...

    def ended(self, run: Run, fate: Fate) -> None:
        """The stream is over. Called once."""
        ...


class Run:
    """One exchange on a stream of its own, whose answers it counts."""

    __slots__ = (
        "_answered",
        "_body_left",
        "_listener",
        "_named",
        "_refused",
        "_reply_begun",
        "_stream",
        "began_at",
        "connection",
        "exchange",
        "number",
        "over",
    )

    def __init__(
        self, connection: Connection, exchange: Exchange, number: int, listener: RunListener, began_at: float
    ) -> None:
        self.connection = connection
        self.exchange = exchange
        self.number = number
        self.began_at = began_at
        self.over = False
        self._listener = listener
        self._named = self._refused = self._reply_begun = False
        self._body_left = exchange.prompt_bytes
        self._answered = 0
        self._stream = connection.open(self)

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages with the run's number in them. Nothing when the stream is over."""
        if not self.over:
            self.connection.send(self._stream, b"".join([message.numbered(self.number) for message in messages]))

    def message(self, head: bytes, size: int) -> None:
        """An answer came; the commonest kind first."""
        kind = head[0] if head else 0
        if kind == _REPLY_BODY:
            self._answered += 1
            self._close_if_complete()
        elif kind == _REQUEST_BODY:
            left, self._body_left = self._body_left, self._body_left - size
            if self._named and left > 0 >= self._body_left:
                self._listener.picked(self)
        elif kind == _REPLY_HEADERS:
            self._reply_begun = True
            self._close_if_complete()
        elif kind == _REQUEST_HEADERS:
            self._named = _DESTINATION in head
        else:
            self._refused = kind == AnswerKind.REFUSAL.value

    def closed(self, error: int | None) -> None:
        """The stream is over. Resets are as good as ends once all answers are there."""
        self.over = True
        self._listener.ended(self, self._fate(error))

    @property
    def _complete(self) -> bool:
        return self._reply_begun and self._answered == len(self.exchange.reply_body)

    def _close_if_complete(self) -> None:
        if self._complete:
            self.connection.half_close(self._stream)

    def _fate(self, error: int | None) -> Fate:
        if self._refused:
            return Fate.REFUSED
        if self._complete:
            return Fate.DONE
        if self._named and self._body_left <= 0 and not self._reply_begun and error in (None, NO_ERROR):
            return Fate.CLOSED_AFTER_PICK
        return Fate.FAILED

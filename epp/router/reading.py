"""How the router comes to know what requests and replies are: by reading their bytes.

A seam, because the bytes need not be there: a simulation knows its requests without them, and features may one day come
from a tokenizer. Everything behind it is the same.
"""

from __future__ import annotations

from typing import Protocol

from epp.endpoints.rates import TokenEstimates
from epp.exchange import BodyState, ReplyEnd, RequestReady
from epp.requests import InferenceRequest, Malformed, Operation, ReplyReport, opaque, parse, read_reply
from epp.scheduling import Features, prepare

__all__ = ["BodyReader", "Reader"]

_HURRIED_BYTES = 1 << 20
"""Even under overload a body up to this is read, in 1 ms at most: what model it is for decides who can serve it."""


class Reader(Protocol):
    """Understands requests and replies."""

    def request(self, ready: RequestReady) -> InferenceRequest | Malformed:
        """What is asked for."""
        ...

    def features(self, request: InferenceRequest, estimates: TokenEstimates, ready: RequestReady) -> Features:
        """Size and identity of the prompt of a request whose model has been resolved."""
        ...

    def report(self, end: ReplyEnd, *, status: int, event_stream: bool, operation: Operation) -> ReplyReport:
        """What the ends of a reply say."""
        ...


class BodyReader:
    """Reads bodies."""

    def request(self, ready: RequestReady) -> InferenceRequest | Malformed:
        """By its headers and body; under overload by its headers alone where the body is long or not complete."""
        if ready.hurried and (ready.body_state is not BodyState.COMPLETE or len(ready.body) > _HURRIED_BYTES):
            return opaque(ready.headers)
        return parse(ready.headers, ready.body, ready.body_state)

    def features(self, request: InferenceRequest, estimates: TokenEstimates, ready: RequestReady) -> Features:
        """By hashing the prompt. Under overload sizes alone."""
        return prepare(request, estimates, hashed=not ready.hurried)

    def report(self, end: ReplyEnd, *, status: int, event_stream: bool, operation: Operation) -> ReplyReport:
        """By the first and last bytes of the body."""
        return read_reply(end, status=status, event_stream=event_stream, operation=operation)

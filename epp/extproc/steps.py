"""What both halves of an exchange share: what they return, and how they say that the proxy broke the protocol."""

from __future__ import annotations

from epp.exchange import ReplyEvent, RequestReady
from epp.extproc import wire_pb2 as wire

__all__ = ["ProxyProtocolError", "Step"]

Step = wire.ProcessingResponse | RequestReady | ReplyEvent
"""What is to be done next, in order: a message is written, an event goes to the router."""


class ProxyProtocolError(Exception):
    """The proxy broke the order of the protocol. The exchange is over; the client can still be given an answer."""

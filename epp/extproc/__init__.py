"""Talks to the proxy: Envoy's external processing protocol, one stream per HTTP request.

`exchange` is the state of one stream, sans-IO, with its two halves `request_side` and `reply_side`, which return
`steps`; `messages` builds and `metadata` reads what goes over the wire (`wire.proto`), `reply_ends` keeps what is read
of a reply at its end. `server` is the one file that awaits: it feeds messages to exchanges and carries events to the
router and answers back. Nothing here knows LLMs.
"""

from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings, ProxyProtocolError
from epp.extproc.server import ExtProcService, NullTransportObserver, TransportObserver

__all__ = [
    "BodyBudget",
    "Exchange",
    "ExchangeSettings",
    "ExtProcService",
    "NullTransportObserver",
    "ProxyProtocolError",
    "TransportObserver",
]

"""Ties parsing, endpoints, prefixes and scheduling together into the object of one pool.

`deciding` takes a request to its decision, `router` charges it and keeps the requests in flight; `targets` resolves
models; `replies` learns from what comes back, `first_tokens` how long first tokens take; `outcomes` holds the closed
set of reasons for which a request is refused. `observer` is the seam to metrics and logs. Nothing here knows gRPC,
Envoy or a clock.
"""

from epp.router.deciding import Decided, Refused
from epp.router.flights import DecisionRecord
from epp.router.observer import NullObserver, Phases, RouterObserver
from epp.router.outcomes import STATUS, Reason, message_of, rejection
from epp.router.reading import BodyReader, Reader
from epp.router.router import CONTROL_HEADERS, Router, RouterSettings
from epp.router.targets import ModelRewrite, TargetSettings, WeightedModel

__all__ = [
    "CONTROL_HEADERS",
    "STATUS",
    "BodyReader",
    "Decided",
    "DecisionRecord",
    "ModelRewrite",
    "NullObserver",
    "Phases",
    "Reader",
    "Reason",
    "Refused",
    "Router",
    "RouterObserver",
    "RouterSettings",
    "TargetSettings",
    "WeightedModel",
    "message_of",
    "rejection",
]

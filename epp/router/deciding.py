"""The part of a request's way that changes nothing: parse, resolve the model, prepare features, match and schedule.

Serving charges what comes out of it; a dry run for `explain` does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from epp.endpoints import EndpointPool
from epp.exchange import RequestReady
from epp.requests import InferenceRequest, Malformed
from epp.router.outcomes import Reason, reason_of_body, reason_of_refusal
from epp.router.reading import Reader
from epp.router.subset import SubsetMasks
from epp.router.targets import TargetSettings, resolve
from epp.scheduling import Decision, Features, Refusal, Restriction, Scheduler, Trace

__all__ = ["Decided", "Decider", "Refused"]


@dataclass(frozen=True, slots=True)
class Decided:
    """A request as it was understood, and where it is to go."""

    request: InferenceRequest
    features: Features
    decision: Decision
    parse_s: float
    prepare_s: float
    schedule_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is not placed."""

    reason: Reason
    request: InferenceRequest | None = None
    """As far as it was understood."""
    message: str = ""
    """For the client, where more is known than the reason."""
    trace: Trace | None = None
    """How filters judged, where it came to that."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides for one pool. Randomness and time are the caller's."""

    pool: EndpointPool
    scheduler: Scheduler
    reader: Reader
    targets: TargetSettings
    subsets: SubsetMasks | None
    """None: the gateway's hint is not honoured."""
    rng: np.random.Generator
    stopwatch: Callable[[], float]

    def decide(self, ready: RequestReady, now: float) -> Decided | Refused:
        """Where the request should go now."""
        if unusable := reason_of_body(ready.body_state):
            return Refused(unusable)
        started = self.stopwatch()
        request = self.reader.request(ready)
        if isinstance(request, Malformed):
            return Refused(Reason.MALFORMED, message=request.message)
        resolved = resolve(request, self.targets, self.pool.models, self.rng)
        if isinstance(resolved, Reason):
            return Refused(resolved, request)
        parsed = self.stopwatch()
        features = self.reader.features(resolved, self.pool.estimates, ready)
        prepared = self.stopwatch()
        decision = self._schedule(resolved, features, ready, now)
        if isinstance(decision, Refusal):
            reason, message = reason_of_refusal(decision.cause)
            return Refused(reason, resolved, message, decision.trace)
        scheduled = self.stopwatch()
        return Decided(resolved, features, decision, parsed - started, prepared - parsed, scheduled - prepared)

    def _schedule(
        self, request: InferenceRequest, features: Features, ready: RequestReady, now: float
    ) -> Decision | Refusal:
        restrictions: list[Restriction] = []
        if ready.subset is not None and self.subsets is not None:
            restrictions.append(("subset", self.subsets.mask(ready.subset)))
        if request.target_model and (serving := self.pool.models.mask(request.target_model)) is not None:
            restrictions.append(("model", serving))
        if ready.hurried:
            return self.scheduler.by_load(request, features, restrictions, now, "overloaded: picked by load alone")
        return self.scheduler.schedule(request, features, restrictions, now)

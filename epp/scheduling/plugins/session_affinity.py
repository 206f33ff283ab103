"""`session-affinity-scorer` and `session-affinity-filter`: a session stays where it is, as a wish or by force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.sessions import (
    EncodedEndpointHeaderConfig,
    EndpointTokens,
    SessionBindings,
    SessionIdConfig,
)
from epp.scheduling.plugins.validation import one_of
from epp.scheduling.types import Mask, Placement, Values
from epp.scheduling.view import View

__all__ = ["SessionAffinityFilter", "SessionAffinityScorer", "Strategy"]

Strategy = Literal["encoded_endpoint_header", "session_id"]


class _Sessions(Protocol):
    """What a strategy knows."""

    def home(self, request: InferenceRequest, view: View) -> int | None:
        """Index of the candidate that the request's session belongs to."""
        ...

    def placed(self, request: InferenceRequest, address: str, now: float) -> Mapping[str, str] | None:
        """Takes note of a placement. Returns headers to set on the reply, or None."""
        ...


@dataclass(slots=True)
class _SessionAffinity:
    """What both plugins share.

    Differs from the Go picker: the table of sessions is bounded, and a token chooses among the candidates only.
    """

    strategy: Strategy = "encoded_endpoint_header"
    """`encoded_endpoint_header`: the client brings back a token that the reply carried. `session_id`: the client names
    its session, and the picker remembers."""
    profile_name: str = ""
    """Only placements of this profile count. Empty: of any."""
    encoded_endpoint_header_config: EncodedEndpointHeaderConfig = EncodedEndpointHeaderConfig()
    """Of the first strategy."""
    session_id_config: SessionIdConfig = SessionIdConfig()
    """Of the second one."""
    _sessions: _Sessions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one_of("strategy", self.strategy, get_args(Strategy))
        if self.strategy == "session_id":
            self._sessions = SessionBindings(self.session_id_config)
        else:
            self._sessions = EndpointTokens(self.encoded_endpoint_header_config)

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> Mapping[str, str] | None:
        """Takes note of where the session went. Returns the token to set on the reply, if there is one."""
        if self.profile_name and placement.profile != self.profile_name:
            return None
        return self._sessions.placed(request, placement.address, now)

    def remarks(self) -> tuple[str, ...]:
        """Sources that cannot give an id here."""
        attributes = [source.attribute for source in self.session_id_config.sources if source.attribute]
        if self.strategy != "session_id" or not attributes:
            return ()
        return (f"no plugin publishes the attribute {', '.join(attributes)}: such a source gives no session id",)


@dataclass(slots=True)
class SessionAffinityScorer(_SessionAffinity):
    """1 for the endpoint of the request's session, 0 for the others. Source: llm-d-router `scorer/sessionaffinity`."""

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,), 0 or 1; all 0 when the session has no endpoint among the candidates."""
        scores = np.zeros(len(view))
        home = self._sessions.home(request, view)
        if home is not None:
            scores[home] = 1.0
        return scores


@dataclass(slots=True)
class SessionAffinityFilter(_SessionAffinity):
    """Keeps the endpoint of the request's session alone. Source: llm-d-router `filter/sessionaffinity`."""

    def keep(self, request: InferenceRequest, view: View) -> Mask:
        """Boolean (n,); all True when the session has no endpoint among the candidates."""
        home = self._sessions.home(request, view)
        if home is None:
            return np.ones(len(view), np.bool_)
        mask = np.zeros(len(view), np.bool_)
        mask[home] = True
        return mask

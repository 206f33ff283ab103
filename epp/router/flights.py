"""What the router remembers of a placed request until it is over. The prompt is not among it."""

from __future__ import annotations

from dataclasses import dataclass

from epp.endpoints import Charge
from epp.exchange import ReplyView
from epp.prefix import Insertion, PrefixChain
from epp.requests import Operation
from epp.scheduling import Decision, Placement

__all__ = ["DecisionRecord", "Flight"]


@dataclass(slots=True)
class DecisionRecord:
    """A decision and what became of it, for people: kept in a ring of the last ones."""

    id: str
    request_id: str
    """The client's or proxy's `x-request-id`, shortened."""
    traceparent: str
    """W3C trace context of the request, empty without one; `tracestate` likewise."""
    tracestate: str
    at: float
    """Monotonic seconds."""
    operation: Operation
    model: str
    target_model: str
    adapter: str
    stream: bool
    size_bytes: int
    prompt_bytes: int
    """Length of the raw prompt, without media."""
    chain: PrefixChain
    """Hashes of the prompt's blocks, until the request is over."""
    decision: Decision
    predicted_ttft_s: float
    """Time to the first token, as it was predicted from the work on the endpoint."""
    served: str = ""
    """Endpoint that really served, when the proxy reported another one than the pick."""
    status: int = 0
    ended: str = ""
    """Verdict on the endpoint, empty while the request is under way."""
    duration_s: float | None = None
    time_to_first_token_s: float | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(slots=True)
class Flight:
    """A placed request under way."""

    record: DecisionRecord
    placement: Placement
    charge: Charge
    insertion: Insertion | None
    """Into the prefix index; None for a request without a prompt."""
    predicted_tokens: float
    """Prompt tokens that the endpoint was believed to hold, before its cache trust is applied."""
    work_ahead_tokens: float
    """Prefill work on the endpoint at the placement, this request's included."""
    output_tokens: float
    """Expected length of the answer."""
    text_bytes: int
    """Length of a prompt of text alone, for learning bytes per token; 0 when there were media or token ids."""
    reply_view: ReplyView
    declared: bool
    """The proxy told its modes."""
    served_elsewhere: bool = False
    """By an endpoint that is not in the pool: nothing can be learned or charged."""
    event_stream: bool = False
    content_type: str = ""
    first_token_at: float | None = None

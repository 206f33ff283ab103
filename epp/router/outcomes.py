"""Why a request was not placed: a closed set of reasons, each with its status and its answer to the client."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from epp.exchange import BodyState, Rejection
from epp.requests import Dialect, error_body
from epp.scheduling import Refusal

__all__ = ["STATUS", "Reason", "reason_of_body", "reason_of_refusal", "rejection"]


class Reason(Enum):
    """Goes out as `x-llm-d-request-dropped-reason`, and is a metric label. The first two are the Go picker's."""

    NO_ENDPOINTS = "rejected-no-endpoints"
    SATURATED = "rejected-saturated"
    MALFORMED = "rejected-malformed"
    MODEL_MISSING = "rejected-model-missing"
    MODEL_UNKNOWN = "rejected-model-unknown"
    BODY_TOO_LARGE = "rejected-body-too-large"
    BODIES_OVER_BUDGET = "rejected-bodies-over-budget"
    PROXY_FAULT = "rejected-proxy-fault"
    INTERNAL = "rejected-internal"


STATUS: Mapping[Reason, int] = {
    Reason.NO_ENDPOINTS: 503,
    Reason.SATURATED: 429,
    Reason.MALFORMED: 400,
    Reason.MODEL_MISSING: 400,
    Reason.MODEL_UNKNOWN: 404,
    Reason.BODY_TOO_LARGE: 413,
    Reason.BODIES_OVER_BUDGET: 503,
    Reason.PROXY_FAULT: 500,
    Reason.INTERNAL: 500,
}

_MESSAGES: Mapping[Reason, str] = {
    Reason.NO_ENDPOINTS: "no model server is available for this request",
    Reason.SATURATED: "all model servers are busy; try again later",
    Reason.MALFORMED: "the request body is not valid JSON",
    Reason.MODEL_MISSING: "the request names no model",
    Reason.MODEL_UNKNOWN: "no model server serves this model",
    Reason.BODY_TOO_LARGE: "the request body is larger than this gateway accepts",
    Reason.BODIES_OVER_BUDGET: "too many request bodies are in flight; try again later",
    Reason.PROXY_FAULT: "the gateway broke the external processing protocol",
    Reason.INTERNAL: "the endpoint picker failed on this request",
}

_RETRY_AFTER_S = 1
_RETRYABLE = frozenset({Reason.NO_ENDPOINTS, Reason.SATURATED, Reason.BODIES_OVER_BUDGET})


def rejection(reason: Reason, dialect: Dialect, message: str = "") -> Rejection:
    """The answer to the client. `message` replaces the general text where the cause is known better."""
    status = STATUS[reason]
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    if reason in _RETRYABLE:
        headers += (("retry-after", str(_RETRY_AFTER_S)),)
    text = message or _MESSAGES[reason]
    return Rejection(status, reason.value, error_body(dialect, status, text, code=reason.value), headers)


def reason_of_body(state: BodyState) -> Reason | None:
    """The reason when the body could not be taken."""
    return {BodyState.TOO_LARGE: Reason.BODY_TOO_LARGE, BodyState.OVER_BUDGET: Reason.BODIES_OVER_BUDGET}.get(state)


def reason_of_refusal(refusal: Refusal) -> Reason:
    """The reason when no endpoint was chosen."""
    return Reason.NO_ENDPOINTS if refusal is Refusal.NO_ENDPOINTS else Reason.SATURATED

"""Why a request was not placed: a closed set of reasons, each with its status and its answer to the client."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from epp.exchange import BodyState, Rejection
from epp.requests import Dialect, error_body
from epp.scheduling import RefusalCause

__all__ = ["STATUS", "Reason", "message_of", "reason_of_body", "reason_of_refusal", "rejection"]


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

_FILTERED = "no model server passes the filters of this gateway's scheduling profile"

_RETRY_AFTER_S = 1
_RETRYABLE = frozenset({Reason.NO_ENDPOINTS, Reason.SATURATED, Reason.BODIES_OVER_BUDGET})


def rejection(reason: Reason, dialect: Dialect, message: str = "") -> Rejection:
    """The answer to the client. `message` replaces the general text where the cause is known better."""
    status = STATUS[reason]
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    if reason in _RETRYABLE:
        headers += (("retry-after", str(_RETRY_AFTER_S)),)
    body = error_body(dialect, status, message_of(reason, message), code=reason.value)
    return Rejection(status, reason.value, body, headers)


def message_of(reason: Reason, message: str = "") -> str:
    """What the client is told: `message`, else the general text for the reason."""
    return message or _MESSAGES[reason]


def reason_of_body(state: BodyState) -> Reason | None:
    """The reason when the body could not be taken."""
    return {BodyState.TOO_LARGE: Reason.BODY_TOO_LARGE, BodyState.OVER_BUDGET: Reason.BODIES_OVER_BUDGET}.get(state)


def reason_of_refusal(cause: RefusalCause) -> tuple[Reason, str]:
    """The reason when no endpoint was chosen, and a message where the general one would mislead."""
    if cause is RefusalCause.NO_ENDPOINTS:
        return Reason.NO_ENDPOINTS, ""
    return Reason.SATURATED, "" if cause is RefusalCause.SATURATED else _FILTERED

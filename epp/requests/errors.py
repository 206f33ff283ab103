"""Errors in the form that the client's library reads.

OpenAI's libraries choose the exception by status, and show `error.message`; programs look at `type` and `code`. `type`
is OpenAI's name here, not vLLM's (`BadRequestError`, `NotFoundError`), because a client of a gateway was written for
OpenAI; `code` is the machine-readable reason, as with OpenAI, where vLLM repeats the status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from epp.requests.types import Dialect

__all__ = ["error_body"]

_OPENAI_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
_OPENAI_OTHER = "server_error"

_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Source: Anthropic API, "Errors"; 503 is closest to their 529."""
_ANTHROPIC_OTHER = "api_error"


def error_body(dialect: Dialect, status: int, message: str, *, code: str) -> bytes:
    """JSON to answer an error with. `code` is left out in Anthropic's form, which has no place for it."""
    error: dict[str, object]
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _ANTHROPIC_TYPES.get(status, _ANTHROPIC_OTHER), "message": message}
        return _encode({"type": "error", "error": error})
    error = {"message": message, "type": _OPENAI_TYPES.get(status, _OPENAI_OTHER), "param": None, "code": code}
    return _encode({"error": error})


def _encode(document: dict[str, object]) -> bytes:
    """ASCII, so that text from hostile headers cannot make it fail."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")

"""What a model server answers when it cannot do what it is asked: vLLM's messages, types and JSON forms.

Forms and texts are those of vLLM 0.32, captured from a live server where a comment does not say otherwise.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "ApiError",
    "bad_request",
    "busy",
    "engine_dead",
    "field_missing",
    "invalid_field",
    "invalid_json",
    "not_found",
    "unsupported_media_type",
]


class ApiError(Exception):
    """An answer other than 200, decided anywhere between the body and the engine."""

    def __init__(self, status: int, message: str, kind: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param

    def openai(self) -> bytes:
        """Body in OpenAI's form."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.status}
        return msgspec.json.encode({"error": error})

    def anthropic(self) -> bytes:
        """Body in Anthropic's form (vLLM `entrypoints/anthropic/api_router.py`)."""
        return msgspec.json.encode({"type": "error", "error": {"type": self.kind, "message": self.message}})


def bad_request(message: str, param: str | None = None, value: object = None) -> ApiError:
    """A value that cannot be served. With a `param`, vLLM ends the message with the name and value of it."""
    if param is not None:
        message += f" (parameter={param}, value={value})" if value is not None else f" (parameter={param})"
    return ApiError(400, message, "BadRequestError", param)


def not_found(message: str, param: str | None = None) -> ApiError:
    """The named thing does not exist."""
    return ApiError(404, message, "NotFoundError", param)


def _invalid(kind: str, location: str, message: str, found: str) -> ApiError:
    detail = f"{{'type': '{kind}', 'loc': '{location}', 'msg': '{message}', 'input': '{found}'}}"
    return ApiError(400, f"1 validation error:\n  {detail}", "Bad Request", location)


def invalid_json(reason: str) -> ApiError:
    """The body is no JSON."""
    return _invalid("json_invalid", "body", "JSON decode error", reason.replace("'", '"'))


def field_missing(name: str | None = None) -> ApiError:
    """A field that must be there is not; without a name, the whole body."""
    return _invalid("missing", f"body.{name}" if name else "body", "Field required", "None" if not name else "<dict>")


def invalid_field(location: str, reason: str) -> ApiError:
    """A field of the wrong type. vLLM's text is pydantic's; the type and the place are the same here."""
    return _invalid("value_error", location, reason.replace("'", '"'), "<value>")


def unsupported_media_type() -> ApiError:
    """The body is said to be something else than JSON. vLLM answers 400, not 415."""
    message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
    return ApiError(400, message, "Bad Request")


def busy() -> ApiError:
    """The queue limit is reached."""
    message = "The engine is currently busy and cannot accept new requests."
    message += " Please try again later or on a different instance."
    return ApiError(503, message, "Service Unavailable")


def engine_dead() -> ApiError:
    """The engine process is gone (vLLM `v1/engine/exceptions.py`)."""
    message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
    return ApiError(500, message, "Internal Server Error")

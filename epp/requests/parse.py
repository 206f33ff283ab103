"""From headers and body to an `InferenceRequest`, purely. Costs twice json.loads for 4 KB, a quarter of it for 400 KB.

A request that a model server might understand is never refused here. Only a complete, uncompressed body that must be
JSON and is not gives `Malformed`; everything that cannot be read is opaque and placed by load.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from epp.exchange import BodyState, Headers
from epp.requests.fields import ABSENT, Fields, Reading, read, read_cut
from epp.requests.paths import BodyForm, Route, body_form, route_of
from epp.requests.prompt import prompt_of
from epp.requests.types import Dialect, InferenceRequest, Malformed, Operation

__all__ = ["opaque", "parse"]

MAX_MODEL_BYTES = 1024
"""Longer names are no names: they would live on in logs and metrics. Kubernetes and Hugging Face stay under 300."""

_MAX_NUMBER_BYTES = 32
_MAX_COUNT = 2**53

_UNREADABLE = frozenset({BodyState.UNSEEN, BodyState.TOO_LARGE, BodyState.OVER_BUDGET})

_LIMIT_FIELDS: Mapping[Operation, tuple[str, ...]] = {
    Operation.CHAT: ("max_completion_tokens", "max_tokens"),
    Operation.COMPLETIONS: ("max_tokens",),
    Operation.RESPONSES: ("max_output_tokens",),
    Operation.MESSAGES: ("max_tokens",),
    Operation.GENERATE: (),
}
"""Where the limit of output stands, for operations that generate."""

_TEXT = msgspec.json.Decoder(str)


class _SamplingParams(msgspec.Struct):
    max_tokens: Raw = ABSENT


_SAMPLING_PARAMS = msgspec.json.Decoder(_SamplingParams)


def parse(headers: Headers, body: bytes, state: BodyState) -> InferenceRequest | Malformed:
    """Reads a request as far as its body was seen."""
    route = route_of(headers)
    form = body_form(headers)
    if route.operation is Operation.OPAQUE or state in _UNREADABLE or form is BodyForm.OTHER:
        return _opaque(route, headers, len(body))
    if state is BodyState.CUT:
        return _request(route, headers, body, Reading(read_cut(body), None))
    try:
        reading = read(body)
    except msgspec.DecodeError as error:
        if route.operation is not None and form is BodyForm.JSON:
            return Malformed(_complaint(body, error), route.dialect)
        return _opaque(route, headers, len(body))
    except RecursionError:
        return _opaque(route, headers, len(body))
    return _request(route, headers, body, reading)


def opaque(headers: Headers, size_bytes: int = 0) -> InferenceRequest:
    """A request whose body is not looked at."""
    return _opaque(route_of(headers), headers, size_bytes)


def _opaque(route: Route, headers: Headers, size_bytes: int) -> InferenceRequest:
    return InferenceRequest(Operation.OPAQUE, route.dialect, headers, size_bytes)


def _request(route: Route, headers: Headers, body: bytes, reading: Reading) -> InferenceRequest:
    fields, span = reading
    operation = route.operation or _operation_by_shape(fields, route.dialect)
    prompt = prompt_of(operation, route.dialect, fields)
    model = _text(fields.model, MAX_MODEL_BYTES)
    return InferenceRequest(
        operation=operation,
        dialect=route.dialect,
        headers=headers,
        size_bytes=len(body),
        model=model,
        target_model=model,
        prompt=prompt.parts,
        prompt_tokens=prompt.tokens,
        media=prompt.media,
        cache_salt=_text(fields.cache_salt, len(body)),
        stream=bytes(fields.stream) == b"true",
        max_output_tokens=_output_limit(operation, fields),
        model_span=span,
        prompt_bytes=prompt.text_bytes,
    )


def _operation_by_shape(fields: Fields, dialect: Dialect) -> Operation:
    """The operation whose members these are. `input` alone is taken for responses, which cost more than embeddings."""
    has = {name for name in fields.__struct_fields__ if getattr(fields, name) is not ABSENT}
    if "messages" in has:
        return Operation.MESSAGES if dialect is Dialect.ANTHROPIC else Operation.CHAT
    if "token_ids" in has:
        return Operation.GENERATE
    if "prompt" in has:
        return Operation.COMPLETIONS
    if "input" in has:
        return Operation.EMBEDDINGS if has & {"encoding_format", "dimensions"} else Operation.RESPONSES
    if "query" in has and "documents" in has:
        return Operation.RERANK
    return Operation.SCORE if has & {"text_1", "data_1", "queries"} else Operation.OPAQUE


def _output_limit(operation: Operation, fields: Fields) -> int | None:
    names = _LIMIT_FIELDS.get(operation)
    if names is None:
        return None if operation is Operation.OPAQUE else 0
    if operation is Operation.GENERATE:
        return _count(_sampling_limit(fields.sampling_params))
    for name in names:
        if (limit := _count(getattr(fields, name))) is not None:
            return limit
    return None


def _sampling_limit(sampling_params: Raw) -> Raw:
    try:
        return _SAMPLING_PARAMS.decode(sampling_params).max_tokens
    except (ValueError, RecursionError):
        return ABSENT


def _count(raw: Raw) -> int | None:
    """A number as model servers take it (`100`, `100.0`, `"100"`); None for anything that is no count."""
    if raw is ABSENT:
        return None
    text = bytes(raw).strip(b'"')
    try:
        number = float(text) if len(text) <= _MAX_NUMBER_BYTES else -1.0
    except ValueError:
        return None
    return int(number) if 0 <= number < _MAX_COUNT else None


def _text(raw: Raw, limit_bytes: int) -> str:
    """A string's value; empty for anything else, for broken text, and for what is longer than it should be."""
    if raw is ABSENT or len(bytes(raw)) > limit_bytes:
        return ""
    try:
        return _TEXT.decode(raw)
    except ValueError:
        return ""


def _complaint(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip():
        return "the request has no body; this path needs JSON"
    return f"the request body is not valid JSON: {str(error).removeprefix('JSON is malformed: ')}"

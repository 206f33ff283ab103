import json

import pytest

from epp.simulator.errors import (
    ApiError,
    bad_request,
    busy,
    engine_dead,
    field_missing,
    invalid_field,
    invalid_json,
    not_found,
    unsupported_media_type,
)

CAPTURED = {  # as vLLM 0.32 wrote them
    "unknown model": (
        not_found("The model `nope` does not exist. Valid aliases: tiny.", "model"),
        '{"error":{"message":"The model `nope` does not exist. Valid aliases: tiny.","type":"NotFoundError",'
        '"param":"model","code":404}}',
    ),
    "empty body": (
        field_missing(),
        "{\"error\":{\"message\":\"1 validation error:\\n  {'type': 'missing', 'loc': 'body', 'msg': "
        '\'Field required\', \'input\': \'None\'}","type":"Bad Request","param":"body","code":400}}',
    ),
    "negative temperature": (
        bad_request("temperature must be non-negative, got -1.0.", "temperature", -1.0),
        '{"error":{"message":"temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",'
        '"type":"BadRequestError","param":"temperature","code":400}}',
    ),
    "stream options without a stream": (
        bad_request("Stream options can only be defined when `stream=True`.", "stream_options"),
        '{"error":{"message":"Stream options can only be defined when `stream=True`. (parameter=stream_options)",'
        '"type":"BadRequestError","param":"stream_options","code":400}}',
    ),
    "wrong content type": (
        unsupported_media_type(),
        '{"error":{"message":"1 validation error:\\n  Unsupported Media Type: Only \'application/json\' is allowed",'
        '"type":"Bad Request","param":null,"code":400}}',
    ),
}


@pytest.mark.parametrize(("error", "body"), CAPTURED.values(), ids=CAPTURED)
def test_an_error_is_what_vllm_writes(error: ApiError, body: str) -> None:
    assert error.openai().decode() == body


KINDS = {
    "busy": (busy(), 503, "Service Unavailable"),
    "dead engine": (engine_dead(), 500, "Internal Server Error"),
    "bad JSON": (invalid_json("it's cut"), 400, "Bad Request"),
    "bad field": (invalid_field("body.n", "Expected `int`"), 400, "Bad Request"),
    "missing field": (field_missing("messages"), 400, "Bad Request"),
}


@pytest.mark.parametrize(("error", "status", "kind"), KINDS.values(), ids=KINDS)
def test_each_has_a_form_in_both_apis(error: ApiError, status: int, kind: str) -> None:
    openai, anthropic = json.loads(error.openai())["error"], json.loads(error.anthropic())
    assert (error.status, openai["code"], openai["type"]) == (status, status, kind)
    assert anthropic == {"type": "error", "error": {"type": kind, "message": openai["message"]}}

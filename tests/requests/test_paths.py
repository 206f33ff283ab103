"""Paths are matched by whole segments from the right; without a path the headers leave it open."""

import pytest

from epp.exchange import Headers
from epp.requests import Dialect, Operation, dialect_of, operation_of
from epp.requests.paths import BodyForm, body_form, route_of

OPENAI, ANTHROPIC = Dialect.OPENAI, Dialect.ANTHROPIC

PATHS = {
    "/v1/chat/completions": (Operation.CHAT, OPENAI),
    "/x/v1/chat/completions?y": (Operation.CHAT, OPENAI),
    "/v1/chat/completions/": (Operation.CHAT, OPENAI),
    "/openai/deployments/d/chat/completions?api-version=1": (Operation.CHAT, OPENAI),
    "chat/completions": (Operation.CHAT, OPENAI),
    "http://host/v1/chat/completions": (Operation.CHAT, OPENAI),
    "/v1/chat/completions/render": (Operation.RENDER, OPENAI),
    "/v1/completions": (Operation.COMPLETIONS, OPENAI),
    "/v1/completions/render": (Operation.RENDER, OPENAI),
    "/xchat/completions": (Operation.COMPLETIONS, OPENAI),
    "/v1/chat/xcompletions": (Operation.OPAQUE, OPENAI),
    "/v1/completions?/v1/chat/completions": (Operation.COMPLETIONS, OPENAI),
    "/v1/responses": (Operation.RESPONSES, OPENAI),
    "/v1/responses/resp_1": (Operation.OPAQUE, OPENAI),
    "/v1/responses/resp_1/cancel": (Operation.OPAQUE, OPENAI),
    "/v1/embeddings": (Operation.EMBEDDINGS, OPENAI),
    "/inference/v1/generate": (Operation.GENERATE, OPENAI),
    "/a/inference/v1/generate": (Operation.GENERATE, OPENAI),
    "/generate": (Operation.OPAQUE, OPENAI),
    "/tokenize": (Operation.TOKENIZE, OPENAI),
    "/detokenize": (Operation.OPAQUE, OPENAI),
    "/pooling": (Operation.POOLING, OPENAI),
    "/classify": (Operation.CLASSIFY, OPENAI),
    "/score": (Operation.SCORE, OPENAI),
    "/v1/score": (Operation.SCORE, OPENAI),
    "/v2/rerank": (Operation.RERANK, OPENAI),
    "/v1/messages": (Operation.MESSAGES, ANTHROPIC),
    "/anthropic/v1/messages?beta=true": (Operation.MESSAGES, ANTHROPIC),
    "/v1/messages/count_tokens": (Operation.COUNT_TOKENS, ANTHROPIC),
    "/v1/messages/render": (Operation.RENDER, ANTHROPIC),
    "/v1/audio/transcriptions": (Operation.OPAQUE, OPENAI),
    "/v1/models": (Operation.OPAQUE, OPENAI),
    "/primary-gateway-test": (Operation.OPAQUE, OPENAI),
    "/": (Operation.OPAQUE, OPENAI),
    "*": (Operation.OPAQUE, OPENAI),
    "?": (Operation.OPAQUE, OPENAI),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items(), ids=PATHS)
def test_a_path_names_operation_and_dialect(path: str, expected: tuple[Operation, Dialect]) -> None:
    headers = Headers.of({":method": "POST", ":path": path})
    assert (operation_of(headers), dialect_of(headers)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"x-original-path": "/v1/messages"}, Operation.MESSAGES),
        ({"x-forwarded-path": "/v1/embeddings"}, Operation.EMBEDDINGS),
        ({"x-original-path": "/score", "x-forwarded-path": "/v1/embeddings"}, Operation.SCORE),
        ({":path": "/v1/completions", "x-original-path": "/v1/messages"}, Operation.COMPLETIONS),
        ({":path": "", "x-original-path": "/v1/messages"}, Operation.MESSAGES),
        ({}, None),
    ],
)
def test_other_headers_tell_the_path_only_where_there_is_none(
    fields: dict[str, str], expected: Operation | None
) -> None:
    assert route_of(Headers.of(fields)).operation is expected


def test_without_a_path_the_operation_is_opaque_until_the_body_is_read() -> None:
    assert operation_of(Headers()) is Operation.OPAQUE


@pytest.mark.parametrize("path", [None, "/v1/messages/batches"])
def test_anthropics_version_header_tells_the_dialect_where_the_path_does_not(path: str | None) -> None:
    fields = {"anthropic-version": "2023-06-01"} | ({":path": path} if path else {})
    assert dialect_of(Headers.of(fields)) is Dialect.ANTHROPIC


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_methods_without_a_document_are_opaque_and_keep_the_dialect(method: str) -> None:
    headers = Headers.of({":method": method, ":path": "/v1/messages"})
    assert (operation_of(headers), dialect_of(headers)) == (Operation.OPAQUE, Dialect.ANTHROPIC)


@pytest.mark.parametrize(
    ("content_type", "encoding", "expected"),
    [
        (None, None, BodyForm.JSON),
        ("", "", BodyForm.JSON),
        ("application/json", None, BodyForm.JSON),
        ("Application/JSON; charset=utf-8", "identity", BodyForm.JSON),
        ("application/vnd.api+json", None, BodyForm.JSON),
        ("text/plain", None, BodyForm.PERHAPS_JSON),
        ("application/x-www-form-urlencoded", None, BodyForm.PERHAPS_JSON),
        ("multipart/form-data; boundary=x", None, BodyForm.OTHER),
        ("audio/wav", None, BodyForm.OTHER),
        ("application/octet-stream", None, BodyForm.OTHER),
        ("application/grpc", None, BodyForm.OTHER),
        ("application/xjson", None, BodyForm.OTHER),
        ("application/json", "gzip", BodyForm.OTHER),
        (None, "br", BodyForm.OTHER),
    ],
)
def test_the_form_of_a_body_is_what_headers_declare(
    content_type: str | None, encoding: str | None, expected: BodyForm
) -> None:
    fields = {"content-type": content_type, "content-encoding": encoding}
    assert body_form(Headers.of({name: value for name, value in fields.items() if value is not None})) is expected

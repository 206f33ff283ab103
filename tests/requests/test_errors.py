"""Errors have the form that the client's library reads, whatever the message is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.requests import Dialect, error_body

TYPES = {
    400: ("invalid_request_error", "invalid_request_error"),
    404: ("invalid_request_error", "not_found_error"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_error"),
    500: ("server_error", "api_error"),
    503: ("server_error", "overloaded_error"),
    418: ("server_error", "api_error"),
}


@pytest.mark.parametrize(("status", "types"), TYPES.items())
def test_the_type_follows_from_the_status(status: int, types: tuple[str, str]) -> None:
    openai, anthropic = (json.loads(error_body(dialect, status, "why", code="c")) for dialect in Dialect)
    assert openai == {"error": {"message": "why", "type": types[0], "param": None, "code": "c"}}
    assert anthropic == {"type": "error", "error": {"type": types[1], "message": "why"}}


@given(st.text() | st.just("\udcff\ud800"), st.sampled_from(list(Dialect)))
def test_any_message_can_be_sent(message: str, dialect: Dialect) -> None:
    body = error_body(dialect, 400, message, code="c")
    assert body.isascii()
    assert json.loads(body)["error"]["message"] == message

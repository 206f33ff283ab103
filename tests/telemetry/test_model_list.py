"""Reading `/v1/models`."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.endpoints.types import ModelCard
from epp.telemetry.model_list import MAX_MODELS, ModelListError, parse_models

VLLM = json.dumps(
    {
        "object": "list",
        "data": [
            {"id": "tiny", "object": "model", "owned_by": "vllm", "parent": None, "max_model_len": 1024},
            {"id": "a", "object": "model", "root": "/adapters/a", "parent": "tiny", "permission": [{"id": "x"}]},
        ],
    }
)

CASES = {
    "a base model and its adapter": (VLLM, (ModelCard("tiny"), ModelCard("a", "tiny"))),
    "no model": ('{"data": []}', ()),
    "no parent is told": ('{"data": [{"id": "x"}, {"id": "y", "parent": ""}]}', (ModelCard("x"), ModelCard("y"))),
    "a name twice": ('{"data": [{"id": "x"}, {"id": "x", "parent": "y"}]}', (ModelCard("x"),)),
    "names of no use": (json.dumps({"data": [{"id": ""}, {"id": "x" * 513}, {"id": "é"}]}), (ModelCard("é"),)),
}

BAD = {
    "nothing": b"",
    "an error": b'{"error": "Unauthorized"}',
    "a list": b"[]",
    "data that is none": b'{"data": {}}',
    "a model without a name": b'{"data": [{"object": "model"}]}',
    "a name that is a number": b'{"data": [{"id": 1}]}',
    "html": b"<html>",
    "not utf-8": b'{"data": [{"id": "\xff"}]}',
    "nested deeply": b'{"x":' * 100_000,
    "nested deeply, and then a list": b'{"x":' + b"[" * 100_000,
}


@pytest.mark.parametrize(("body", "cards"), CASES.values(), ids=CASES)
def test_models_are_listed(body: str, cards: tuple[ModelCard, ...]) -> None:
    assert parse_models(body.encode()) == cards


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_is_no_list_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(ModelListError, match="no list of models"):
        parse_models(body)


def test_the_number_of_models_is_bounded() -> None:
    body = json.dumps({"data": [{"id": str(number)} for number in range(MAX_MODELS + 10)]})
    assert len(parse_models(body.encode())) == MAX_MODELS


@given(st.binary(max_size=100) | st.text('{}[]":,data id0', max_size=60).map(str.encode))
def test_any_bytes_are_a_list_or_refused(body: bytes) -> None:
    with contextlib.suppress(ModelListError):
        parse_models(body)

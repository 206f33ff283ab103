"""Bodies are read as Python's json reads them, and the model's place is exact."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epp.requests.fields import ABSENT, Fields, read, read_cut, span_by_scan
from tests.requests.hostile_json import body_texts


@given(body_texts())
@example('{"model":"a","model":"a"}')
@example('{"mod\\u0065l" : "a", "x":"\\ud800", "model" :NaN}')
def test_the_last_model_is_found_where_it_stands(text: str) -> None:
    body = text.encode()
    expected = json.loads(text)
    fields, span = read(body)
    assert span == span_by_scan(body, "model")
    if "model" not in expected:
        assert (span, fields.model) == (None, ABSENT)
        return
    assert span is not None
    assert bytes(fields.model) == body[slice(*span)]
    assert json.dumps(json.loads(body[slice(*span)])) == json.dumps(expected["model"])


@given(body_texts(), st.data())
def test_nothing_that_json_reads_is_refused(text: str, data: st.DataObject) -> None:
    """A random change to a random document: if it still is JSON, it is read."""
    cut = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(cut, len(text)))
    changed = text[:cut] + data.draw(st.sampled_from(["", "NaN", "\\ud800", "1", '"', "{}"])) + text[end:]
    try:
        json.loads(changed)
    except ValueError:
        return
    read(changed.encode())


ONLY_PYTHON = {
    "NaN": b'{"temperature":NaN,"model":"m"}',
    "infinities": b'{"a":[Infinity,-Infinity],"model":"m"}',
    "the first half of a surrogate pair": b'{"a":"\\ud83d","model":"m"}',
    "the second half of one": b'{"a":"\\ude00 x","model":"m"}',
    "a half in capitals": b'{"a":"\\uDE00 \\uDbFf","model":"m"}',
    "halves in the wrong order": b'{"a":"\\ude00\\ud83d","model":"m"}',
    "byte order mark": b'\xef\xbb\xbf{"model":"m"}',
    "numbers beyond floats": b'{"a":1e400,"b":' + b"9" * 5000 + b',"model":"m"}',
}


@pytest.mark.parametrize("body", ONLY_PYTHON.values(), ids=ONLY_PYTHON)
def test_what_python_reads_beyond_the_standard_is_read(body: bytes) -> None:
    fields, span = read(body)
    assert bytes(fields.model) == b'"m"'
    assert span is not None
    assert body[slice(*span)] == b'"m"'


@pytest.mark.parametrize("name", ["NaN-7B", "Infinity", "a/\\ud83d\\ude00"])
def test_a_models_name_is_not_touched_by_reading_leniently(name: str) -> None:
    body = f'{{"a":NaN,"model":"{name}"}}'.encode()
    assert bytes(read(body).fields.model) == f'"{name}"'.encode()


def test_no_other_name_becomes_a_members_name_by_reading_leniently() -> None:
    fields, span = read(rb'{"a":"\ud800","model":"m","\ud06dodel":"x","\uD06Dodel":"x"}')
    assert (bytes(fields.model), span) == (b'"m"', (22, 25))


@pytest.mark.parametrize(
    "body",
    [b"[]", b"3", b"null", b'"x"', b"[NaN]", b"NaN", '{"model":"m"}'.encode("utf-16"), '{"a":1}'.encode("utf-32")],
)
def test_documents_that_are_no_objects_in_utf_8_have_no_members(body: bytes) -> None:
    assert read(body).fields == Fields()


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{", b'{"a":1,}', b"{'a':1}", b'{"a":1}x', b'{"a":"\n"}', b'{"a":"\\ud800}']
)
def test_what_python_refuses_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read(body)


def test_nesting_too_deep_for_any_reader_is_told_apart() -> None:
    with pytest.raises(RecursionError):
        read(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


CUT = {
    "in the prompt": (
        b'{"model":"tiny","messages":[{"role":"user","content":"say \\"hi\\" [',
        {"model": b'"tiny"', "messages": b'[{"role":"user","content":"say \\"hi\\" ['},
    ),
    "in the model": (b'{"prompt":"x","model":"ti', {"prompt": b'"x"', "model": b'"ti'}),
    "in a number": (b'{"max_tokens":10', {}),
    "after a number": (b'{"max_tokens":10,', {"max_tokens": b"10"}),
    "in a key": (b'{"stream":true,"mod', {"stream": b"true"}),
    "before a value": (b'{"model":', {}),
    "nowhere": (b'{"model":"a","model":"b"}', {"model": b'"b"'}),
    "in what is no object": (b'["model', {}),
    "at once": (b"", {}),
}


@pytest.mark.parametrize(("body", "expected"), CUT.values(), ids=CUT)
def test_a_cut_body_gives_what_is_there(body: bytes, expected: dict[str, bytes]) -> None:
    fields = read_cut(body)
    values = {name: getattr(fields, name) for name in fields.__struct_fields__}
    assert {name: bytes(value) for name, value in values.items() if value is not ABSENT} == expected


@given(body_texts(), st.data())
def test_whole_members_of_a_cut_body_are_those_of_the_whole(text: str, data: st.DataObject) -> None:
    body = text.encode()
    cut = read_cut(body[: data.draw(st.integers(0, len(body)))])
    for name in ("model", "messages", "prompt"):
        value = bytes(getattr(cut, name))
        assert value in body


@given(st.binary(max_size=80))
def test_any_bytes_can_be_a_cut_body(body: bytes) -> None:
    read_cut(body)
    read_cut(b'{"model":' + body)

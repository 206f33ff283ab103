"""The scanner agrees with Python's json on where values are, and knows when a text is cut off."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.requests.scan import MAX_STEPS, MEMBER_STEPS, members, name_of, start_of_object, string_end, value_end
from tests.requests.hostile_json import body_texts, string_texts, value_texts


@given(body_texts())
def test_members_are_those_that_json_finds_in_order(text: str) -> None:
    body = text.encode()
    start = start_of_object(body)
    assert start is not None
    found = [(name_of(key), json.dumps(json.loads(body[begin:end]))) for key, begin, end in members(body, start)]
    expected = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    names = [name for name, _ in found]
    assert names == [name for name, _ in expected]
    assert dict(found) == {name: json.dumps(value) for name, value in json.loads(text).items()}


@given(value_texts.filter(lambda text: text[0] in '"[{'), st.text(max_size=3))
def test_a_value_ends_where_it_ends_whatever_follows(text: str, after: str) -> None:
    body = text.encode()
    assert value_end(body + after.encode(), 0) == len(body)


@given(value_texts.filter(lambda text: text[0] in '"[{'), st.data())
def test_a_value_that_is_cut_has_no_end(text: str, data: st.DataObject) -> None:
    body = text.encode()
    assert value_end(body[: data.draw(st.integers(1, len(body) - 1))], 0) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_taken(text: bytes) -> None:
    for start in range(min(3, len(text))):
        for member in members(text, start):
            assert 0 <= member.start <= (len(text) if member.end is None else member.end) <= len(text)
        assert start_of_object(text) is None or text[start_of_object(text) or 0] == ord("{")


@given(string_texts())
def test_a_string_ends_at_its_quote(text: str) -> None:
    body = text.encode()
    assert string_end(body + b'"', 0) == len(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"12", None), (b"12,", 2), (b"tru", None), (b"true }", 4), (b"", None), (b",", None), (b"[1,2", None)],
)
def test_a_scalar_ends_before_what_separates_it(text: bytes, expected: int | None) -> None:
    assert value_end(text, 0) == expected


def test_nesting_is_followed_up_to_a_bound() -> None:
    deep = MAX_STEPS // 2
    assert value_end(b"[" * deep + b"]" * deep, 0) == 2 * deep
    assert value_end(b"[" * 2 * deep + b"]" * 2 * deep, 0) is None


def test_flat_members_end_before_the_first_nested_one() -> None:
    body = b'{"a":1,"b":"x","c":{"d":2},"e":3}'
    assert [member.key for member in members(body, 0, nested=False)] == [b'"a"', b'"b"']


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"{}", 0), (b" \n{", 2), (b"\xef\xbb\xbf{}", 3), (b"[{}]", None), (b"", None), (b"x{", None)],
)
def test_a_document_is_an_object_or_not(body: bytes, expected: int | None) -> None:
    assert start_of_object(body) == expected


def test_one_limit_holds_for_all_members_together() -> None:
    """A member has its price, and each of its brackets but the first costs a step."""
    found = list(members(b"{" + b'"k":[],' * MAX_STEPS, 0))
    assert len(found) == MAX_STEPS // (MEMBER_STEPS + 1) + 1
    assert [member.end is None for member in found[-2:]] == [False, True]

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.exchange import BodyState
from epp.telemetry.debug_input import MAX_HEADERS, InputError, choose, count_from, level_from, request_from
from epp.telemetry.logs import Level


def test_the_only_pool_need_not_be_named() -> None:
    assert choose(None, {"a": 1}) == choose("a", {"a": 1}) == ("a", 1)
    assert choose("b", {"a": 1, "b": 2}) == ("b", 2)


@pytest.mark.parametrize(
    ("name", "pools", "message"),
    [
        (None, {"a": 1, "b": 2}, "say ?pool=; pools are: a, b"),
        (None, {}, "say ?pool=; pools are: none"),
        ("c", {"a": 1, "b": 2}, "there is no such pool; pools are: a, b"),
        ("<script>", {"a": 1}, "there is no such pool; pools are: a"),
    ],
)
def test_an_unknown_pool_is_refused_with_those_that_there_are(
    name: str | None, pools: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        choose(name, pools)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "count"), [(None, 20), ("1", 1), ("99", 50), ("007", 7)])
def test_counts(text: str | None, count: int) -> None:
    assert count_from(text, 20, most=50) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e3", "²", "9" * 50, " 1"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="whole number"):
        count_from(text, 20, most=50)


@pytest.mark.parametrize("body", [b"debug", b" DEBUG\n", b"4", b'{"level": "debug"}', b' {"level": 4}'])
def test_levels(body: bytes) -> None:
    assert level_from(body) is Level.DEBUG


@pytest.mark.parametrize("body", [b"", b"loud", b"{}", b'{"level": null}', b'{"level": 1, "x": 2}', b"\xff", b"{" * 9])
def test_what_is_no_level_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        level_from(body)


def test_a_body_stands_for_itself_byte_by_byte() -> None:
    ready = request_from(b'{"body": {"model" :  "m"}, "headers": {"X-A": "b"}, "path": "/v1/completions"}')
    assert ready.body == b'{"model" :  "m"}'
    assert (ready.headers.get(":path"), ready.headers.get("x-a")) == ("/v1/completions", "b")
    assert (ready.body_state, ready.subset) == (BodyState.COMPLETE, None)


def test_a_body_can_be_given_as_text() -> None:
    ready = request_from(b'{"body": "{\\"model\\": \\"m\\"}", "subset": ["10.0.0.1"]}')
    assert ready.body == b'{"model": "m"}'
    assert ready.headers.get(":path") == "/v1/chat/completions"
    assert ready.subset == ("10.0.0.1",)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"body": {}, "more": 1}',
        b'{"body": {}, "headers": {"a": 1}}',
        b'{"body": {}, "path": null}',
        b'{"body": {}, "subset": "10.0.0.1"}',
        b'{"body": "\xff"}',
        b'{"body": ' + b"[" * 100_000,
        b'{"body": {}, "headers": {' + b",".join(b'"h%d": ""' % n for n in range(MAX_HEADERS + 1)) + b"}}",
    ],
)
def test_what_is_no_request_is_refused(document: bytes) -> None:
    with pytest.raises(InputError):
        request_from(document)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_refused(document: bytes) -> None:
    for text in (document, b'{"body": ' + document + b"}"):
        with suppress(InputError):
            assert isinstance(request_from(text).body, bytes)

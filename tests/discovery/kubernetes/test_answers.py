"""What the API server's bytes mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.kubernetes import answers
from epp.discovery.kubernetes.answers import (
    ApiError,
    EventKind,
    Failing,
    Lines,
    decode_event,
    decode_page,
    refusal,
)


def test_a_page_names_its_objects_its_version_and_the_next_page() -> None:
    items = [{"metadata": {"name": name, "resourceVersion": "3"}, "spec": {"x": [1]}} for name in "ab"]
    body = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "t"}, "items": items}
    page = decode_page(json.dumps(body).encode())
    assert (page.resource_version, page.next_token) == ("7", "t")
    assert [(item.name, json.loads(bytes(item.object))) for item in page.items] == list(zip("ab", items, strict=True))


def test_an_empty_list_may_have_null_for_items() -> None:
    page = decode_page(b'{"metadata": {"resourceVersion": "7"}, "items": null}')
    assert (page.items, page.next_token) == ((), "")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'{"items": []}', b'{"metadata": {}, "items": []}', b"\xff",
        b'{"metadata": {"resourceVersion": 7}, "items": []}', b'{"metadata": {"resourceVersion": "7"}, "items": {}}',
        b'{"metadata": {"resourceVersion": "7"}, "items": [3]}', b"404 page not found\n",
        b'{"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "\xff"}}]}',
        b'{"metadata": {"resourceVersion": "7"}, "x": ' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_list_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode_page(body)
    assert caught.value.failing is Failing.BAD_ANSWER


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_an_event_names_its_object_and_version(kind: str) -> None:
    object_ = {"metadata": {"name": "a", "resourceVersion": "8"}}
    event = decode_event(json.dumps({"type": kind, "object": object_}).encode())
    assert (event.kind, event.name, event.resource_version) == (EventKind(kind), "a", "8")


def test_a_bookmark_has_a_version_alone() -> None:
    event = decode_event(b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}')
    assert (event.kind, event.name, event.resource_version) == (EventKind.BOOKMARK, "", "9")


@pytest.mark.parametrize(
    ("line", "failing"),
    [
        (
            b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}',
            Failing.GONE,
        ),
        (b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}', Failing.SERVER),
        (b'{"type":"ERROR","object":{}}', Failing.SERVER),
        (b'{"type":"WHAT","object":{"metadata":{"resourceVersion":"9"}}}', Failing.BAD_ANSWER),
        (b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}', Failing.BAD_ANSWER),
        (b'{"type":"ADDED"}', Failing.BAD_ANSWER),
        (b'{"type":"ADDED","object":{"metadata"', Failing.BAD_ANSWER),
        (b"<html>", Failing.BAD_ANSWER),
    ],
)
def test_lines_that_are_no_events_end_the_watch(line: bytes, failing: Failing) -> None:
    with pytest.raises(ApiError) as caught:
        decode_event(line)
    assert caught.value.failing is failing


FORBIDDEN = b'{"kind":"Status","code":403,"reason":"Forbidden","message":"pods is forbidden"}'
BUSY = b'{"kind":"Status","code":429,"reason":"TooManyRequests","details":{"retryAfterSeconds":3}}'


@pytest.mark.parametrize(
    ("status", "body", "header", "failing", "after_s", "text"),
    [
        (401, b'{"message":"Unauthorized"}', None, Failing.UNAUTHORIZED, None, "401: Unauthorized"),
        (403, FORBIDDEN, None, Failing.FORBIDDEN, None, "403: pods is forbidden"),
        (404, b"404 page not found\n", None, Failing.NOT_FOUND, None, "404: 404 page not found"),
        (410, b"", None, Failing.GONE, None, "410: "),
        (504, b'{"code":504,"reason":"Expired"}', None, Failing.GONE, None, "504: Expired"),
        (429, BUSY, None, Failing.OVERLOADED, 3.0, "429: TooManyRequests"),
        (429, BUSY, "9", Failing.OVERLOADED, 9.0, "429: TooManyRequests"),
        (503, b"\xff<html>", "Wed, 21 Oct 2015 07:28:00 GMT", Failing.SERVER, None, "503: \ufffd<html>"),
        (302, b"", "1e9", Failing.SERVER, None, "302: "),
    ],
)
def test_refusals(
    status: int, body: bytes, header: str | None, failing: Failing, after_s: float | None, text: str
) -> None:
    error = refusal(status, body, header)
    assert (error.failing, error.retry_after_s, error.text.strip()) == (failing, after_s, text.strip())


def test_what_is_said_is_cut_and_on_one_line() -> None:
    assert len(refusal(500, b"line\n" * 1000, None).text) <= 300
    assert "\n" not in str(refusal(500, b"line\n" * 1000, None))


@given(lines=st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"."))), cuts=st.data())
def test_where_the_bytes_of_a_watch_are_cut_does_not_matter(lines: list[bytes], cuts: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines) + b"unfinished"
    cutter, found = Lines(), []
    while whole:
        size = cuts.draw(st.integers(1, 20))
        found += cutter.feed(whole[:size])
        whole = whole[size:]
    assert found == [line for line in lines if line.strip()]


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_LINE_BYTES", 100)
    lines = Lines()
    assert lines.feed(b"x" * 60 + b"\n" + b"y" * 60) == [b"x" * 60]
    with pytest.raises(ApiError, match="more than 100 bytes"):
        lines.feed(b"y" * 60)

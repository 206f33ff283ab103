from epp.exchange import Headers


def test_the_first_of_several_values_wins_and_none_is_lost() -> None:
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert (headers.get("a"), headers.get("b"), headers.get("c")) == ("1", "2", None)
    assert list(headers.items()) == [("a", "1"), ("b", "2"), ("a", "3")]
    assert ("a" in headers, "c" in headers, 1 in headers) == (True, False, False)


def test_values_that_are_not_utf_8_can_be_written_back() -> None:
    headers = Headers([(b"a", b"\xff\x00")])
    assert (headers.get("a") or "").encode("utf-8", "surrogateescape") == b"\xff\x00"


def test_which_of_some_names_there_are() -> None:
    headers = Headers([(b"a", b""), (b"b", b"2"), (b"\xff", b"3")])
    assert set(headers.among(frozenset({b"a", b"b", b"z"}))) == {"a", "b"}
    assert headers.among(frozenset({b"z"})) == ()


def test_names_from_text_are_lowered() -> None:
    assert Headers.of({"X-Request-Id": "r"}).get("x-request-id") == "r"

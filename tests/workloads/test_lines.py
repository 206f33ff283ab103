import msgspec
import pytest

from epp.workloads import WorkloadError
from epp.workloads.lines import Limits, Line, TraceLines


def test_empty_lines_are_passed_over_and_counted() -> None:
    lines = list(TraceLines("t", [b"a\r\n", b"\n", b"  b \n"]))
    assert [(line.text, line.number) for line in lines] == [(b"a", 1), (b"b", 3)]


def test_only_so_many_lines_are_read() -> None:
    def raw() -> object:
        yield b"a\n"
        yield b"b\n"
        raise AssertionError("read too far")

    assert [line.text for line in TraceLines("t", raw(), most=1)] == [b"a"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(line_bytes=4), "t:2: the line has more than 4 bytes"),
        (Limits(trace_bytes=6), "t:2: more than 6 bytes"),
        (Limits(calls=1), "t:2: more than 1 lines"),
    ],
)
def test_a_trace_that_is_too_large_is_refused_where_it_is(limits: Limits, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        list(TraceLines("t", [b"abc\n", b"defg\n"], limits=limits))


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b'{"a": 1}'], ids=["cut", "no text", "deep", "shape"])
def test_a_line_that_cannot_be_read_names_itself(text: bytes) -> None:
    with pytest.raises(WorkloadError, match=r"^t:7: .*take"):
        Line(text, "t", 7).decoded(msgspec.json.Decoder(list[list[list[int]]]))


@pytest.mark.parametrize("value", [-1, 10_000_001])
def test_numbers_of_tokens_have_limits(value: int) -> None:
    with pytest.raises(WorkloadError, match=f"t:7: length is {value}; it must be between 0 and 10000000"):
        Line(b"", "t", 7).tokens(value, "length")

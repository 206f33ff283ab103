from __future__ import annotations

import json

import pytest

from epp.workloads import Workload, WorkloadError, reusable_tokens
from epp.workloads.formats import read_mooncake
from epp.workloads.lines import TraceLines


def line(length: int, hashes: list[int], time: int = 0, output: int = 5) -> bytes:
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    return json.dumps(dict(zip(names, (time, length, output, hashes), strict=True))).encode()


def read(*lines: bytes) -> Workload:
    return read_mooncake(TraceLines("t", lines))


def test_blocks_of_512_tokens_are_segments_and_the_last_is_shorter() -> None:
    first, second, third = read(line(1100, [7, 8, 9]), line(1024, [7, 8]), line(600, [7, 8])).calls
    assert [segment.tokens for segment in first.prompt] == [512, 512, 76]
    assert second.prompt == first.prompt[:2]
    assert third.prompt[0] == first.prompt[0]
    assert third.prompt[1].tokens == 88
    assert third.prompt[1].id != first.prompt[1].id, "equal ids are equal lengths"


def test_equal_last_blocks_of_equal_length_are_shared() -> None:
    first, second = read(line(600, [7, 8]), line(600, [7, 8])).calls
    assert first.prompt == second.prompt


def test_times_are_milliseconds_from_the_first() -> None:
    assert [call.at_s for call in read(line(1, [1], 1500), line(1, [2], 500)).calls] == [0.0, 1.0]


def test_answers_are_never_found_again() -> None:
    first, second = read(line(10, [1], output=9), line(10, [1], output=9)).calls
    assert first.output.tokens == 9
    assert first.output.id != second.output.id


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"{", "t:2: "),
        (b'{"timestamp": 0}', "t:2: .*input_length"),
        (line(512, [1, 2]), "t:2: 2 hash_ids; input_length 512 in blocks of 512 needs 1"),
        (line(513, [1]), "t:2: 1 hash_ids; input_length 513 in blocks of 512 needs 2"),
        (line(0, []), "t:2: input_length is 0"),
        (line(10, [1], output=-1), "t:2: output_length is -1"),
        (line(10**12, [1]), "t:2: input_length is 1000000000000"),
    ],
)
def test_a_bad_line_names_itself(bad: bytes, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        read(line(10, [1]), bad)


def test_reuse_counts_what_a_cache_of_blocks_would_find() -> None:
    workload = read(line(1100, [7, 8, 9]), line(1100, [7, 8, 10]), line(1100, [7, 8, 9]))
    assert reusable_tokens(workload).tolist() == [0, 1024, 1088]

"""The format of the decision log: what is written can be read, and prefix relations survive."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp import prefix
from epp.decision_lines import (
    BLOCK_BYTES,
    HASH_BYTES,
    VERSION,
    DecisionLineError,
    LoggedCandidate,
    LoggedDecision,
    decode_line,
    encode_line,
    sampled_blocks,
    sampled_hashes,
)

PLACED = LoggedDecision(v=VERSION, t=1790000000.25, pool="epp", id="a-1", model="m", endpoint="10.0.0.1:8000")


def chains(max_size: int = 100) -> st.SearchStrategy[bytes]:
    return st.lists(st.binary(min_size=8, max_size=8), max_size=max_size).map(b"".join)


whole = st.integers(0, 1 << 53)
seconds = st.none() | st.floats(0, 1e9)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.dictionaries(text, st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=3)
candidates = st.builds(
    LoggedCandidate,
    endpoint=text,
    total=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    matched_tokens=whole,
    terms=numbers,
    scores=numbers,
)
decisions = st.builds(
    LoggedDecision,
    v=st.just(VERSION),
    t=st.floats(0, 1e11),
    pool=text,
    id=text,
    rejected=text,
    model=text,
    stream=st.booleans(),
    body_bytes=whole,
    block_count=whole,
    blocks=chains(),
    predicted_ttft_s=seconds,
    status=st.integers(0, 599),
    ttft_s=seconds,
    cached_tokens=st.none() | whole,
    out=st.dictionaries(text, whole, max_size=3),
    why=st.lists(candidates, max_size=3).map(tuple),
)


@given(decision=decisions)
def test_what_is_written_is_read(decision: LoggedDecision) -> None:
    line = encode_line(decision)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_line(line) == decode_line(line.rstrip()) == decode_line(line.decode()) == decision


def test_what_is_not_known_is_left_out() -> None:
    assert json.loads(encode_line(PLACED)) == {
        "v": 1,
        "t": 1790000000.25,
        "pool": "epp",
        "id": "a-1",
        "model": "m",
        "endpoint": "10.0.0.1:8000",
    }


def test_fields_of_the_future_are_passed_over() -> None:
    assert decode_line(encode_line(PLACED)[:-2] + b',"weather":{"rain":true}}\n') == PLACED


@pytest.mark.parametrize(
    ("line", "message"),
    {
        "nothing": (b"", "not a line"),
        "cut short": (encode_line(PLACED)[:40], "not a line"),
        "something else": (b'{"ts":"2026-01-01","msg":"request placed"}', "not a line"),
        "no text": (b"\xff\xfe\x00", "not a line"),
        "a number out of place": (b'{"v":1,"t":"now","pool":"epp"}', r"not a line.*\$\.t"),
        "another version": (encode_line(msgspec.structs.replace(PLACED, v=2)), "version 2 .* reads version 1"),
    }.values(),
    ids=str,
)
def test_other_lines_are_refused_with_the_reason(line: bytes, message: str) -> None:
    with pytest.raises(DecisionLineError, match=message):
        decode_line(line)


@given(chain=chains(), stride=st.integers(1, 12))
def test_every_stride_and_the_last_hash_are_kept(chain: bytes, stride: int) -> None:
    count = len(chain) // 8
    line = msgspec.structs.replace(PLACED, block_count=count, block_stride=stride, blocks=sampled_hashes(chain, stride))
    numbers, hashes = sampled_blocks(decode_line(encode_line(line)))
    expected = sorted({*range(stride, count + 1, stride), *([count] if count else [])})
    assert numbers.tolist() == expected
    assert [value.tobytes() for value in hashes.astype("<u8")] == [chain[8 * one - 8 : 8 * one] for one in expected]


@given(shared=st.binary(max_size=6000), one=st.binary(max_size=3000), other=st.binary(max_size=3000))
def test_prompts_that_begin_alike_have_alike_hashes(shared: bytes, one: bytes, other: bytes) -> None:
    stride = 8
    chains = [prefix.chain_of([shared, rest], prefix.seed_of("m")) for rest in (one, other)]
    sampled = [np.frombuffer(sampled_hashes(chain, stride), "<u8") for chain in chains]
    alike = len(shared) // (stride * BLOCK_BYTES)
    assert sampled[0][:alike].tolist() == sampled[1][:alike].tolist()


def test_hashes_that_do_not_fit_are_refused() -> None:
    for count, stride, size in ((3, 0, 8), (17, 8, 16), (0, 8, 8), (8, 8, 9)):
        line = msgspec.structs.replace(PLACED, block_count=count, block_stride=stride, blocks=b"x" * size)
        with pytest.raises(DecisionLineError, match=f"block_count {count}"):
            sampled_blocks(line)


def test_blocks_are_the_pickers() -> None:
    assert BLOCK_BYTES == prefix.BLOCK_BYTES
    assert HASH_BYTES == prefix.hashing.HASH_BYTES

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.workloads import Call, Segment, Workload, call_names, prefix_names, reusable_tokens, seed_of_names

PIECES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60)), max_size=8)


def tokens_of(pieces: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Each token as what it is: the piece's name and length, and its place there."""
    return [(name, length, place) for name, length in pieces for place in range(length)]


@given(PIECES, PIECES, st.integers(1, 40))
def test_prefixes_have_one_name_when_they_are_the_same_tokens_of_the_same_pieces(
    first: list[tuple[int, int]], second: list[tuple[int, int]], unit: int
) -> None:
    names = []
    for pieces in (first, second):
        ids, lengths = [name for name, _ in pieces], [length for _, length in pieces]
        # An id has one length; here it is part of the id.
        names.append(
            prefix_names([100 * name + size for name, size in zip(ids, lengths, strict=True)], lengths, unit).tolist()
        )
    one, other = tokens_of(first), tokens_of(second)
    assert [len(found) for found in names] == [len(one) // unit, len(other) // unit]
    for count, (name, other_name) in enumerate(zip(*names, strict=False), 1):
        assert (name == other_name) == (one[: count * unit] == other[: count * unit])


def test_another_model_or_adapter_has_other_names() -> None:
    seeds = {
        seed_of_names(model, adapter) for model, adapter in [("", ""), ("a", ""), ("", "a"), ("a", "b"), ("ab", "")]
    }
    assert len(seeds) == 5
    firsts = {int(prefix_names([1], [16], 16, seed)[0]) for seed in seeds}
    assert len(firsts) == 5


def calls(*prompts: list[Segment]) -> Workload:
    return Workload("w", tuple(Call(0.0, tuple(prompt), Segment(900 + at, 32)) for at, prompt in enumerate(prompts)))


SYSTEM, FIRST, SECOND = Segment(1, 64), Segment(2, 32), Segment(3, 30)


@pytest.mark.parametrize(
    ("prompts", "reusable"),
    [
        ([[SYSTEM, FIRST], [SYSTEM, SECOND]], [0, 64]),
        ([[SYSTEM, FIRST], [SYSTEM, FIRST]], [0, 80]),  # 96 but for the block of the last token
        ([[SYSTEM, SECOND], [SYSTEM, SECOND]], [0, 80]),  # 94: whole blocks only
        ([[SYSTEM, FIRST], [SYSTEM, FIRST, Segment(900, 32), SECOND]], [0, 128]),  # the answer of call 0 is in it
        ([[SYSTEM, FIRST], [FIRST, SYSTEM]], [0, 0]),
    ],
)
def test_the_ceiling_is_what_an_endless_cache_would_hold(prompts: list[list[Segment]], reusable: list[int]) -> None:
    assert reusable_tokens(calls(*prompts)).tolist() == reusable


def test_names_of_a_call_cover_its_answer() -> None:
    (call,) = calls([SYSTEM]).calls
    assert len(call_names(call, 16)) == (64 + 32) // 16

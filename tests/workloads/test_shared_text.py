from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epp.workloads.shared_text import UNIT_BYTES, cut_points, pieces_of, units_of

TEXTS = st.lists(st.text("ab", min_size=1, max_size=40).map(str.encode), max_size=8)


def common_units(first: bytes, second: bytes) -> int:
    length = min(len(first), len(second))
    return next((at for at in range(length) if first[at] != second[at]), length) // UNIT_BYTES


@given(TEXTS)
def test_a_text_is_cut_where_another_one_parts_from_it(texts: list[bytes]) -> None:
    """The slow way: compare each with each."""
    expected = []
    for place, text in enumerate(texts):
        parts = {common_units(text, other) for at, other in enumerate(texts) if at != place}
        expected.append(sorted(cut for cut in parts if 0 < cut < units_of(text)))
    assert cut_points(texts) == expected


@given(TEXTS)
def test_texts_share_the_segments_of_what_they_share(texts: list[bytes]) -> None:
    cut = [pieces_of(text, 0, [*cuts, units_of(text)]) for text, cuts in zip(texts, cut_points(texts), strict=True)]
    for first, one in zip(texts, cut, strict=True):
        assert sum(segment.tokens for segment in one) == units_of(first)
        for second, other in zip(texts, cut, strict=True):
            same = 0
            for mine, theirs in zip(one, other, strict=False):
                if mine != theirs:
                    break
                same += mine.tokens
            assert same >= min(common_units(first, second), units_of(first), units_of(second))

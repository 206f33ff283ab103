import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulator.tokens import (
    BEGIN,
    END,
    MAX_TOKEN_ID,
    MEDIA,
    ROLE,
    TOOLS,
    block_hashes,
    count_tokens,
    filler_text,
    join_tokens,
    media_tokens,
    seed_of,
    token_ids,
    token_texts,
    tokens_of_ids,
    tokens_of_text,
)

TEXTS = {  # text: its tokens' texts
    "": [],
    "abc": ["abc"],
    "abcd": ["abcd"],
    "abcde": ["abcd", "e"],
}


@pytest.mark.parametrize(("text", "texts"), TEXTS.items())
def test_a_token_is_four_bytes_of_text(text: str, texts: list[str]) -> None:
    tokens = tokens_of_text(text)
    assert token_texts(tokens) == texts
    assert count_tokens(tokens) == len(token_ids(tokens)) == len(texts)


def test_a_token_that_ends_inside_a_character_has_a_text_too() -> None:
    lost = "\N{REPLACEMENT CHARACTER}"
    assert token_texts(tokens_of_text("abc\N{EURO SIGN}")) == [f"abc{lost}", lost * 2]


@given(st.text(), st.text(), st.text())
def test_a_common_beginning_of_texts_is_one_of_tokens(common: str, first: str, second: str) -> None:
    tokens, other = tokens_of_text(common + first), tokens_of_text(common + second)
    shared = len(common.encode()) // 4
    assert token_ids(tokens)[:shared] == token_ids(other)[:shared]


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=[])))
def test_no_text_contains_a_special_token(text: str) -> None:
    assert not {BEGIN, ROLE, END, TOOLS, MEDIA} & {
        tokens_of_ids([number]) for number in token_ids(tokens_of_text(text))
    }


@given(st.lists(st.integers(0, MAX_TOKEN_ID)))
def test_token_ids_come_back(ids: list[int]) -> None:
    assert token_ids(tokens_of_ids(ids)) == ids


def test_equal_media_have_equal_tokens() -> None:
    assert media_tokens(b"cat") == media_tokens(b"cat") != media_tokens(b"dog")
    assert count_tokens(media_tokens(b"cat")) == 257


def test_blocks_are_hashed_with_all_that_comes_before_them() -> None:
    first = block_hashes(tokens_of_text("aaaabbbbccccddddeee"), 2, 0)
    assert len(first) == 2  # five tokens
    assert block_hashes(tokens_of_text("aaaabbbbXXXXdddd"), 2, 0)[0] == first[0]
    assert block_hashes(tokens_of_text("XXXXbbbbccccdddd"), 2, 0)[1] != first[1]
    assert block_hashes(tokens_of_text("aaaabbbb"), 2, 1) != first[:1]
    assert len(set(block_hashes(tokens_of_text("aaaa" * 40), 4, 0))) == 10


def test_seeds_differ_with_every_part() -> None:
    seeds = [seed_of(("a", "b")), seed_of(("ab",)), seed_of(("", "ab")), seed_of(("a", "b"), 1), seed_of((b"a", "c"))]
    assert len(set(seeds)) == len(seeds)


@given(st.integers(0, 200), st.integers(0, 2**63))
def test_filler_is_one_token_per_word_and_plain_in_json(words: int, seed: int) -> None:
    text = filler_text(words, seed)
    assert count_tokens(text) == words
    assert text == tokens_of_text(text.decode())
    assert json.dumps(text.decode()) == f'"{text.decode()}"'
    assert filler_text(words + 7, seed).startswith(text)


def test_filler_depends_on_the_seed() -> None:
    assert filler_text(20, 1) != filler_text(20, 2)


def test_joined_tokens_stand_in_order() -> None:
    assert join_tokens([BEGIN, tokens_of_text("ab"), END]) == b"\xff\xff\xff\x00ab\0\0\xff\xff\xff\x02"

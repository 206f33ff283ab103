import pytest

from epp.scheduling.plugins.mm_embeddings_cache import MmEmbeddingsCacheScorer
from tests.scheduling.plugins.contract import chat, place, pool_with, scored, spec, view

A, B, C, D = (letter * 8 for letter in (b"a", b"b", b"c", b"d"))


def see(scorer: MmEmbeddingsCacheScorer, pool: object, row: int, *items: bytes) -> None:
    request = chat(media=items)
    scorer.score(request, view(pool))  # type: ignore[arg-type]
    place(scorer, request, pool, row)  # type: ignore[arg-type]


def test_the_share_of_items_seen_before() -> None:
    pool, scorer = pool_with(3), MmEmbeddingsCacheScorer()
    see(scorer, pool, 0, A, B, C)
    see(scorer, pool, 1, B)
    assert scored(scorer, chat(media=[A, B, D]), view(pool)) == pytest.approx([2 / 3, 1 / 3, 0])


def test_an_item_counts_once_however_often_it_comes() -> None:
    pool, scorer = pool_with(2), MmEmbeddingsCacheScorer()
    see(scorer, pool, 0, A)
    assert scored(scorer, chat(media=[A, A, A, B]), view(pool)) == [0.5, 0.0]


def test_a_request_without_media_prefers_nobody() -> None:
    pool, scorer = pool_with(2), MmEmbeddingsCacheScorer()
    see(scorer, pool, 0, A)
    assert scored(scorer, chat(), view(pool)) == [0.0, 0.0]


def test_each_server_s_cache_holds_its_least_recently_used_items_no_longer() -> None:
    pool, scorer = pool_with(2), MmEmbeddingsCacheScorer(cache_size_in_mb_per_server=4)
    for item in (A, B, A, C):
        see(scorer, pool, 0, item)
    assert [scored(scorer, chat(media=[item]), view(pool))[0] for item in (A, B, C)] == [1, 0, 1]


def test_what_left_is_forgotten_and_a_row_s_next_owner_starts_with_nothing() -> None:
    pool, scorer = pool_with(2), MmEmbeddingsCacheScorer()
    see(scorer, pool, 0, A)
    see(scorer, pool, 1, A)
    pool.replace([spec(0), spec(7)], now=1.0)
    assert pool.table.row_of(spec(7).address) == 1
    assert scored(scorer, chat(media=[A]), view(pool)) == [1.0, 0.0]
    pool.replace([spec(0), spec(1)], now=2.0)
    assert scored(scorer, chat(media=[A]), view(pool)) == [1.0, 0.0]


def test_another_pool_is_another_world() -> None:
    scorer, other = MmEmbeddingsCacheScorer(), pool_with(2)
    see(scorer, pool_with(2), 0, A)
    assert scored(scorer, chat(media=[A]), view(other)) == [0.0, 0.0]


def test_a_placement_that_was_decided_without_it_is_left_out() -> None:
    """Under overload requests are placed without asking scorers, so rows may be another's by then."""
    pool, scorer = pool_with(2), MmEmbeddingsCacheScorer()
    scorer.score(chat(media=[B]), view(pool))
    pool.replace([spec(0), spec(7), spec(8)], now=1.0)
    for row in (1, 2):
        place(scorer, chat(media=[A]), pool, row)
    assert scored(scorer, chat(media=[A]), view(pool)) == [0.0, 0.0, 0.0]


def test_a_request_cannot_push_out_more_than_its_share() -> None:
    pool, scorer = pool_with(1), MmEmbeddingsCacheScorer()
    see(scorer, pool, 0, A)
    see(scorer, pool, 0, *(number.to_bytes(8, "little") for number in range(10_000)))
    assert scored(scorer, chat(media=[A]), view(pool)) == [1.0]


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cacheSizeInMBPerServer is 0; it must be more than 0"):
        MmEmbeddingsCacheScorer(0)

import pytest

from epp.scheduling.plugins.dynamo import DynamoCost
from tests.scheduling.plugins.contract import chat, costs, pool_with, view

TABLE = {
    # prefill in front, matched blocks of 64 tokens, context, requests; prompt 640 tokens
    "idle and cold": (0, 0, 0, 0, 640 + 640),
    "all of it is cached": (0, 10, 0, 0, 0 + 640),
    "prefill in front": (1000, 5, 0, 1, 1000 + 320 + 640),
    "context that is decoded": (0, 5, 3000, 4, 320 + 3000 + 640),
}


@pytest.mark.parametrize(("waiting", "blocks", "context", "requests", "expected"), TABLE.values(), ids=TABLE)
def test_costs_follow_dynamo_in_tokens(
    waiting: float, blocks: int, context: float, requests: float, expected: float
) -> None:
    pool = pool_with(1, prefill_tokens=[waiting], context_tokens=[context], requests=[requests])
    assert costs(DynamoCost(), chat(), view(pool, blocks=[blocks], prompt_tokens=640)) == [expected]


def dynamo_formula(
    prefill: float, overlap: float, decode: float, requests: float, least: float, plugin: DynamoCost
) -> float:
    """In blocks of 64 tokens, for a request of 10 blocks. The arguments are in blocks, too."""
    decay = 1 / (1 + plugin.overlap_score_credit_decay * (prefill - least) / 10)
    adjusted = prefill + 10 - plugin.overlap_score_credit * decay * overlap
    weight = plugin.decode_active_request_weight
    return plugin.prefill_load_scale * adjusted + decode + 10 + weight * requests


@pytest.mark.parametrize(
    "plugin",
    [
        DynamoCost(),
        DynamoCost(overlap_score_credit=1.5),
        DynamoCost(overlap_score_credit=0),
        DynamoCost(overlap_score_credit_decay=0.5),
        DynamoCost(prefill_load_scale=2, decode_active_request_weight=3),
    ],
    ids=repr,
)
def test_parameters_weigh_as_in_dynamo(plugin: DynamoCost) -> None:
    prefill, overlap, decode, requests = [5, 40, 20, 5], [0, 10, 7, 10], [0, 100, 3, 12], [1, 8, 2, 0]
    pool = pool_with(
        4,
        prefill_tokens=[64 * one for one in prefill],
        context_tokens=[64 * one for one in decode],
        requests=requests,
    )
    expected = [
        64 * dynamo_formula(*row, least=5, plugin=plugin)
        for row in zip(prefill, overlap, decode, requests, strict=True)
    ]
    look = view(pool, blocks=overlap, prompt_tokens=640)
    assert costs(plugin, chat(), look) == pytest.approx(expected)


def test_a_decaying_credit_lets_go_of_a_crowded_cache() -> None:
    look = view(pool_with(2, prefill_tokens=[500, 0]), blocks=[10, 0], prompt_tokens=640)
    crowded, free = costs(DynamoCost(), chat(), look)
    assert crowded < free
    crowded, free = costs(DynamoCost(overlap_score_credit_decay=1), chat(), look)
    assert free < crowded


def test_others_requests_count_as_far_as_they_are_seen() -> None:
    pool = pool_with(2, foreign_waiting=[2, 0], foreign_requests=[2, 0])
    busy, idle = costs(DynamoCost(decode_active_request_weight=1), chat(), view(pool, prompt_tokens=100))
    assert busy == pytest.approx(idle + 2 * pool.estimates.mean_prompt_tokens + 2 * 64)


def test_without_a_prompt_only_load_counts() -> None:
    look = view(pool_with(2, prefill_tokens=[0, 250], context_tokens=[30, 400]))
    assert costs(DynamoCost(overlap_score_credit_decay=1), chat(), look) == [30, 650]


def test_terms_add_up_in_the_explanation() -> None:
    pool = pool_with(2, prefill_tokens=[10, 20], context_tokens=[30, 40], requests=[1, 2])
    look = view(pool, prompt_tokens=100)
    total = costs(DynamoCost(decode_active_request_weight=1), chat(), look)
    explained = {one.address: one.terms for one in look.trace.explain().candidates}
    assert [sum(explained[address].values()) for address in pool.table.addresses] == pytest.approx(total)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"overlap_score_credit": -1}, "overlapScoreCredit is -1; it must be at least 0"),
        ({"overlap_score_credit_decay": -1}, "overlapScoreCreditDecay is -1"),
        ({"prefill_load_scale": float("nan")}, "prefillLoadScale is nan"),
        ({"decode_active_request_weight": float("inf")}, "decodeActiveRequestWeight is inf"),
        ({"block_tokens": 0}, "blockTokens is 0; it must be more than 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DynamoCost(**parameters)  # type: ignore[arg-type]

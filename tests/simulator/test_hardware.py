import pytest

from epp.simulator import COSTS, Engine, EngineSettings
from epp.simulator.costs import StepWork
from epp.simulator.hardware import H100, HARDWARE, L40S, LLAMA_8B, QWEN_32B, STEP_COSTS, roofline


def step_s(name: str, prefill: int = 0, sequences: int = 0, context: int = 0) -> float:
    return HARDWARE[name].cost.seconds(StepWork(prefill, prefill**2, sequences, context))


def test_a_chunk_on_two_h100_is_as_fast_as_llm_d_s_recipe_says() -> None:
    assert 8192 / step_s("h100-2-32b", prefill=8192) == pytest.approx(15_928, rel=0.01)


def test_a_decode_step_is_what_the_fits_add_up_to() -> None:
    weights_s = 1.4 * 16.06e9 / 3.35e12
    cache_s = 1.9 * 100_000 * 131_072 / 3.35e12
    expected = weights_s + cache_s + 126e-6 + 32 * 32e-6 + 10 * 4e-6
    assert step_s("h100", sequences=10, context=100_000) == pytest.approx(expected)


def test_the_cache_has_what_weights_and_activations_leave() -> None:
    assert HARDWARE["h100"].kv_tokens == pytest.approx((0.9 * 80e9 - 2e9 - 16.06e9) / 131_072, abs=1)
    assert QWEN_32B.kv_bytes_per_token == 2 * LLAMA_8B.kv_bytes_per_token == 262_144


def test_more_devices_are_faster_in_all_they_do_and_cost_more() -> None:
    one, two = roofline("one", H100, LLAMA_8B), roofline("two", H100, LLAMA_8B, 2)
    assert two.price_per_hour == 2 * one.price_per_hour
    assert two.kv_tokens > 2 * one.kv_tokens  # the weights are there once
    for work in (StepWork(1000, 1000**2), StepWork(0, 0, 9, 90_000)):
        assert two.cost.seconds(work) < one.cost.seconds(work)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Qwen3-32B bf16 does not fit into 1 x L40S"):
        roofline("small", L40S, QWEN_32B)


@pytest.mark.parametrize("name", HARDWARE)
def test_every_profile_gives_an_engine_and_says_where_it_comes_from(name: str) -> None:
    profile = HARDWARE[name]
    settings = profile.engine_settings(block_size=32)
    assert Engine(settings, cost=profile.cost).metrics(0.0).total_blocks == profile.kv_tokens // 32
    assert settings.max_num_batched_tokens == profile.max_num_batched_tokens
    assert settings.max_model_len <= profile.kv_tokens
    assert profile.source
    assert any("price" in each for each in profile.assumptions)
    assert 0.001 < step_s(name, sequences=1, context=1000) < 0.1
    assert profile.price_per_hour > 0


def test_the_default_profile_is_the_engine_s_default() -> None:
    profile = HARDWARE["program-scheduling"]
    assert profile.engine_settings() == EngineSettings()
    assert profile.cost is COSTS["program-scheduling"]


def test_costs_have_one_name() -> None:
    assert set(STEP_COSTS) == {*COSTS, *HARDWARE}
    assert all(STEP_COSTS[name] is COSTS[name] for name in COSTS)

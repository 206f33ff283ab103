from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.workloads import ALL, HELD_OUT, HELD_OUT_SEEDS, TUNING, TUNING_SEEDS, offered_load, trace, workload
from bench.workloads.__main__ import common_first_block, main
from bench.workloads.load import work_s
from epp.simulator.costs import LinearCost
from epp.simulator.scheduler import EngineSettings
from epp.workloads import Api, Call, Segment, Workload, reusable_tokens

DATA = Path(__file__).parents[1] / "data" / "workloads"


def test_there_are_enough_of_both_kinds_with_nothing_in_common() -> None:
    assert min(len(TUNING), len(HELD_OUT)) >= 6
    assert not set(TUNING_SEEDS) & set(HELD_OUT_SEEDS)
    assert not {type(entry.params) for entry in TUNING.values()} & {type(entry.params) for entry in HELD_OUT.values()}


@pytest.mark.parametrize("name", ALL)
def test_each_fits_the_pool(name: str) -> None:
    made = workload(name, 1)
    assert 300 <= len(made.calls) <= 2500
    assert made.name == name
    longest = max(call.prompt_tokens + call.output_tokens for call in made.calls)
    assert longest <= EngineSettings().max_model_len


@pytest.mark.parametrize("name", ALL)
def test_load_is_moderately_high(name: str) -> None:
    """In the mean: seeds differ, most where few calls make most of the work."""
    seeds = TUNING_SEEDS if name in TUNING else HELD_OUT_SEEDS
    loads = []
    for seed in seeds[:2]:
        made = workload(name, seed)
        loads.append(offered_load(made, reusable_tokens(made).tolist()))
    low, high = (0.4, 0.6) if name.startswith("crowded") else (0.55, 0.85)
    assert low <= sum(loads) / len(loads) <= high


def test_seeds_and_names_make_different_workloads() -> None:
    assert workload("chat", 1) == workload("chat", 1)
    assert workload("chat", 1).calls != workload("chat", 2).calls
    with pytest.raises(KeyError):
        workload("chats", 1)


def test_work_is_what_the_engine_would_take() -> None:
    """1,000 tokens of which 600 are found, and no answer: the cost of their prefill in one step, without the step's."""
    call = Call(0.0, (Segment(1, 1000),), Segment(2, 1), api=Api.EMBEDDINGS)
    cost = LinearCost()
    expected = cost.prefill_token_s * 400 + cost.prefill_attention_s * (1000**2 - 600**2)
    assert work_s(call, 600) == pytest.approx(expected)


def test_load_is_work_over_time() -> None:
    calls = tuple(Call(at / 10, (Segment(at, 2000),), Segment(10_000 + at, 50)) for at in range(1000))
    found = [0] * len(calls)
    assert offered_load(Workload("w", calls), found, pods=2) == pytest.approx(work_s(calls[0], 0) * 10 / 2, rel=0.01)


def test_traces_can_be_part_of_the_study() -> None:
    assert len(trace(DATA / "mooncake.jsonl", 3).calls) == 3


def test_the_share_of_the_most_common_first_block() -> None:
    system, output = Segment(1, 10), Segment(9, 1)
    prompts = [
        (system, Segment(2, 10)),
        (system, Segment(2, 10), Segment(3, 5)),
        (system, Segment(4, 10)),
        (Segment(5, 3),),
    ]
    assert common_first_block(Workload("w", tuple(Call(0.0, prompt, output) for prompt in prompts))) == 0.5


def test_the_table_shows_workloads_and_given_traces() -> None:
    options = ["--only", "independent", "--only", "bursts", "--trace", str(DATA / "azure-2023.csv")]
    result = CliRunner().invoke(main, options, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert all(f" {name} " in result.output for name in ("independent", "bursts", "azure-2023.csv"))
    assert " chat " not in result.output


def test_a_trace_that_cannot_be_read_is_no_traceback() -> None:
    result = CliRunner().invoke(main, ["--trace", "missing.jsonl"])
    assert result.exit_code == 1
    assert "missing.jsonl" in result.output

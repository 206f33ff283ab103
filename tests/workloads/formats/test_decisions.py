from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from epp.decision_lines import VERSION, LoggedDecision, encode_line, sampled_hashes
from epp.prefix import chain_of
from epp.workloads import Api, Workload, WorkloadError
from epp.workloads.content import ASSUMED_OUTPUT_TOKENS
from epp.workloads.formats import read_decisions
from epp.workloads.lines import TraceLines

STRIDE = 8
BLOCK = 256


def decision(prompt: bytes, *, t: float = 0.0, **fields: Any) -> LoggedDecision:
    chain = chain_of([prompt], 1)
    return LoggedDecision(
        v=VERSION,
        t=t,
        pool="p",
        prompt_bytes=len(prompt),
        block_count=len(chain) // 8,
        block_stride=STRIDE,
        blocks=sampled_hashes(chain, STRIDE),
        **{"operation": "chat_completions", **fields},
    )


def read(decisions: Sequence[LoggedDecision]) -> Workload:
    return read_decisions(TraceLines("log", [encode_line(each) for each in decisions]))


def shared_tokens(workload: Workload) -> int:
    first, second = (call.prompt for call in workload.calls)
    same = 0
    for mine, other in zip(first, second, strict=False):
        if mine != other:
            break
        same += mine.tokens
    return same


RNG = np.random.default_rng(1)
TEXT, OTHER = RNG.bytes(40 * BLOCK), RNG.bytes(40 * BLOCK)


@pytest.mark.parametrize(("shared_blocks", "found_blocks"), [(0, 0), (7, 0), (8, 8), (20, 16), (33, 32), (40, 40)])
def test_prompts_share_what_their_sampled_hashes_show(shared_blocks: int, found_blocks: int) -> None:
    cut = shared_blocks * BLOCK
    workload = read([decision(TEXT), decision(TEXT[:cut] + OTHER[cut:], t=1.0)])
    assert shared_tokens(workload) == found_blocks * BLOCK / 4


def test_a_prompt_that_goes_on_shares_the_whole_strides_of_the_shorter_one() -> None:
    workload = read([decision(TEXT[: 20 * BLOCK]), decision(TEXT, t=1.0)])
    assert shared_tokens(workload) == 16 * BLOCK / 4


def test_tokens_come_from_the_reply_else_from_the_estimate_else_from_bytes() -> None:
    workload = read(
        [
            decision(TEXT, t=0, prompt_tokens=4096),
            decision(OTHER, t=1, expected_prompt_tokens=5000),
            decision(OTHER[:10_000], t=2),
        ]
    )
    assert workload.bytes_per_token == 40 * BLOCK / 4096
    assert [call.prompt_tokens for call in workload.calls] == [4096, 5000, 10_000 / workload.bytes_per_token]


def test_shared_segments_are_as_long_in_each_prompt() -> None:
    """Although the second reply reported fewer tokens than its shared blocks make by the log's mean."""
    first, second = read(
        [decision(TEXT, prompt_tokens=2560), decision(TEXT[: 16 * BLOCK], t=1.0, prompt_tokens=500)]
    ).calls
    assert second.prompt[:2] == first.prompt[:2]
    assert second.prompt_tokens >= 500


def test_answers_are_as_long_as_reported_else_as_expected() -> None:
    calls = read(
        [
            decision(TEXT, t=0, completion_tokens=7, expected_output_tokens=100),
            decision(TEXT, t=1, expected_output_tokens=100),
            decision(TEXT, t=2),
            decision(TEXT, t=3, completion_tokens=0),
            decision(TEXT, t=4, completion_tokens=3, operation="embeddings"),
        ]
    ).calls
    assert [call.output_tokens for call in calls] == [7, 100, ASSUMED_OUTPUT_TOKENS, 1, 0]


def test_operation_model_adapter_and_stream_are_kept() -> None:
    calls = read(
        [
            decision(TEXT, t=10, model="small", stream=True),
            decision(TEXT, t=11, model="alias", target_model="large", operation="completions"),
            decision(TEXT, t=12, model="alias", target_model="sql", adapter="sql"),
        ]
    ).calls
    assert [(call.model, call.adapter, call.api, call.stream) for call in calls] == [
        ("small", "", Api.CHAT, True),
        ("large", "", Api.COMPLETIONS, False),
        ("", "sql", Api.CHAT, False),
    ]
    assert [call.at_s for call in calls] == [0.0, 1.0, 2.0]


def test_lines_are_put_in_the_order_of_arrival_and_refused_requests_left_out() -> None:
    calls = read(
        [decision(TEXT, t=5.0), decision(b"", t=1.0, rejected="no-endpoints"), decision(OTHER, t=2.0, model="a")]
    ).calls
    assert [call.at_s for call in calls] == [0.0, 3.0]
    with pytest.raises(WorkloadError, match="log: there are no placed requests"):
        read([decision(b"", rejected="no-endpoints")])


def test_a_prompt_without_blocks_is_a_segment_of_its_own() -> None:
    first, second = read([decision(b"hi", prompt_tokens=9), decision(b"hi", t=1.0)]).calls
    assert [len(call.prompt) for call in (first, second)] == [1, 1]
    assert first.prompt != second.prompt


@pytest.mark.parametrize(
    "bad", [b"{}", b'{"v": 99, "t": 0, "pool": "p"}', b'{"v": 1, "t": 0, "pool": "p", "block_count": 3}']
)
def test_a_bad_line_names_itself(bad: bytes) -> None:
    with pytest.raises(WorkloadError, match=r"^log:2: "):
        read_decisions(TraceLines("log", [encode_line(decision(TEXT)), bad]))

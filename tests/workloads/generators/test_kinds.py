"""What makes each kind of generated workload what it is."""

from __future__ import annotations

from collections import Counter

import pytest

from epp.workloads import Api, Call, Role, reusable_tokens
from epp.workloads.generators import generated


def calls_of(spec: str) -> tuple[Call, ...]:
    return generated(spec, 1).calls


def reusable(spec: str) -> float:
    workload = generated(spec, 1)
    return float(reusable_tokens(workload).sum()) / sum(call.prompt_tokens for call in workload.calls)


def test_independent_prompts_share_nothing() -> None:
    assert reusable("independent") == 0


def test_a_shared_prompt_begins_every_call() -> None:
    calls = calls_of("shared-prompt:system_tokens=1000")
    assert {call.prompt[0] for call in calls} == {calls[0].prompt[0]}
    assert (calls[0].prompt[0].tokens, calls[0].prompt[0].role) == (1000, Role.SYSTEM)
    assert len({call.prompt[1] for call in calls}) == len(calls)


def test_tenants_are_busy_by_zipfs_law() -> None:
    counts = [count for _, count in Counter(call.prompt[0] for call in calls_of("tenants:calls=20000")).most_common()]
    assert len(counts) == 50
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_adapters_have_prompts_of_their_own() -> None:
    calls = calls_of("lora:calls=5000")
    by_adapter = {call.adapter: call.prompt[0] for call in calls}
    assert len(by_adapter) == len(set(by_adapter.values())) == 100
    assert min(by_adapter) == "adapter-000"
    assert Counter(call.adapter for call in calls).most_common(1)[0][0] == "adapter-000"


def test_a_burst_can_be_one_tenants() -> None:
    calls = calls_of("bursts:one_tenant=true,calls=2000,burst_s=2,every_s=20")
    bursts: dict[int, set[int]] = {}
    for call in calls:
        if call.at_s % 20 >= 18:
            bursts.setdefault(int(call.at_s // 20), set()).add(call.prompt[0].id)
    assert len(bursts) > 3
    assert all(len(tenants) == 1 for tenants in bursts.values())
    assert len(set.union(*bursts.values())) > 1


def test_a_few_outliers_are_very_long() -> None:
    lengths = [call.prompt_tokens for call in calls_of("outliers:calls=5000")]
    long = [length for length in lengths if length >= 60_000]
    assert len(long) / len(lengths) == pytest.approx(0.02, rel=0.3)
    assert max(long) <= 120_000
    assert max(set(lengths) - set(long)) < 20_000


def test_embeddings_answer_nothing() -> None:
    calls = calls_of("embeddings:calls=4000")
    embedded = [call for call in calls if call.api is Api.EMBEDDINGS]
    assert len(embedded) / len(calls) == pytest.approx(0.5, rel=0.1)
    assert not any(call.output_tokens or call.stream for call in embedded)


def test_a_chat_goes_on_with_all_that_was_said() -> None:
    calls = calls_of("chat:calls=800")
    following = [call for call in calls if call.after is not None]
    assert len(following) > 400
    for call in following:
        before = calls[call.after or 0]
        assert call.session == before.session
        assert call.prompt[:-1] == (*before.prompt, before.output)
        assert call.prompt[-1].role is Role.USER
    turns = Counter(call.session for call in calls_of("chat:calls=6000,turns=4"))
    assert sum(turns.values()) / len(turns) == pytest.approx(4, rel=0.1)


def test_the_order_of_documents_decides_what_can_be_reused() -> None:
    assert reusable("rag:order=sorted") > 1.5 * reusable("rag:order=relevance")


def test_a_call_has_different_documents_and_popular_ones_more_often() -> None:
    calls = calls_of("rag:calls=3000,documents=20,documents_per_call=5")
    documents = Counter(segment for call in calls for segment in call.prompt[1:-1])
    assert all(len(set(call.prompt[1:-1])) == 5 for call in calls)
    assert len(documents) == 20
    assert documents.most_common()[0][1] > 3 * documents.most_common()[-1][1]


def test_agents_call_ten_to_fifty_times_with_a_growing_context() -> None:
    calls = calls_of("agents:calls=6000")
    steps = Counter(call.session for call in calls)
    assert max(steps.values()) <= 50
    for call in calls:
        if call.after is not None:
            before = calls[call.after]
            assert call.prompt[:-1] == (*before.prompt, before.output)
            assert call.prompt[-1].role is Role.TOOL
    assert len({call.prompt[0] for call in calls}) == 3


def test_an_agent_waits_for_its_sub_agent_and_goes_on_with_its_last_answer() -> None:
    calls = calls_of("agents:calls=3000,subagent_share=0.2,kinds=4")
    returns = [
        (call, calls[call.after])
        for call in calls
        if call.after is not None and call.session != calls[call.after].session
    ]
    begins = [(call, before) for call, before in returns if len(call.prompt) == 2]
    ends = [(call, before) for call, before in returns if len(call.prompt) > 2]
    assert len(begins) > 50
    assert len(ends) > 50
    for call, before in begins:
        assert call.prompt[0] == before.prompt[0], "the same system prompt"
        assert call.at_s == 0
    for call, before in ends:
        assert (call.prompt[-1].id, call.prompt[-1].role) == (before.output.id, Role.TOOL)

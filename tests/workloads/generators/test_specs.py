from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.workloads import Workload, WorkloadError
from epp.workloads.generators import GENERATORS, Chat, DocumentOrder, Rag, generate, generated, parse_spec
from tests.docs.pages import cells

GUIDE = "docs/workloads.md"


@pytest.mark.parametrize("name", GENERATORS)
def test_one_seed_is_one_workload(name: str) -> None:
    spec = f"{name}:calls=50"
    first, second, other = generated(spec, 1), generated(spec, 1), generated(spec, 2)
    assert first == second
    assert first.calls != other.calls
    assert (first.name, len(first.calls)) == (spec, 50)


@pytest.mark.parametrize("name", GENERATORS)
def test_ids_name_contents(name: str) -> None:
    """Equal ids are equal lengths, and no answer is anything else than what a later prompt quotes."""
    lengths: dict[int, int] = {}
    outputs: set[int] = set()
    for call in generated(f"{name}:calls=200", 1).calls:
        for segment in (*call.prompt, call.output):
            assert lengths.setdefault(segment.id, segment.tokens) == segment.tokens
            assert segment.tokens >= 1
        assert call.output.id not in outputs
        outputs.add(call.output.id)


@pytest.mark.parametrize("name", GENERATORS)
def test_calls_stand_in_the_order_of_their_arrival(name: str) -> None:
    times = [call.at_s for call in generated(f"{name}:calls=200", 3).calls if call.after is None]
    assert times == sorted(times)


@pytest.mark.parametrize("name", ["chat", "agents"])
def test_sessions_come_at_the_rate_from_the_begin(name: str) -> None:
    """Expected times: pauses, and answers at the assumed speed."""
    workload = generated(f"{name}:calls=3800,rate_per_s=10", 1)
    times: list[float] = []
    for call in workload.calls:
        before = workload.calls[call.after] if call.after is not None else None
        ended = times[call.after] + 0.5 + before.output_tokens * 0.025 if before and call.after is not None else 0.0
        times.append(ended + call.at_s)
    counts = np.histogram(times, bins=10, range=(0.0, 300.0))[0]
    assert counts == pytest.approx(np.full(10, 300), rel=0.35)


def test_specs_set_parameters_of_any_kind() -> None:
    assert parse_spec("chat") == Chat()
    assert parse_spec("chat:tenants=50,rate_per_s=4") == Chat(tenants=50, rate_per_s=4.0)
    assert parse_spec("chat: rate=2 , turns=3,") == Chat(rate_per_s=2.0, turns=3.0)
    assert parse_spec("rag:order=relevance") == Rag(order=DocumentOrder.RELEVANCE)
    assert parse_spec("bursts:one_tenant=true") != parse_spec("bursts")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("chats", "no workload generator 'chats'; there are: independent, "),
        ("chat:tenant_count=5", "chat has no parameter 'tenant_count': calls, rate_per_s"),
        ("chat:t=5", "several parameters 't': tenants, turns, think_s"),
        ("chat:=5", "no parameter ''"),
        ("chat:tenants=5,tenants=6", "tenants is set twice"),
        ("chat:tenants", "tenants is ''; it must be a whole number"),
        ("chat:tenants=1.5", "must be a whole number"),
        ("chat:rate=fast", "must be a number"),
        ("rag:order=random", "must be one of: relevance, sorted"),
        ("bursts:one_tenant=maybe", "must be true or false"),
        ("chat:tenants=0", "tenants is 0; it must be between 1 and"),
        ("chat:rate=0", "rate_per_s is 0.0; it must be between 1e-06"),
        ("chat:rate=nan", "rate_per_s is nan"),
        ("chat:calls=99999999", "calls is 99999999"),
        ("embeddings:embeddings_share=1.5", "must be between 0 and 1"),
    ],
)
def test_a_bad_spec_says_what_would_do(spec: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        parse_spec(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "bursts:burst_s=50,every_s=50",
        "rag:documents=3,documents_per_call=4",
        "agents:least_steps=9,most_steps=8",
        "outliers:least_tokens=9,most_tokens=8",
    ],
)
def test_parameters_that_contradict_one_another_are_refused(spec: str) -> None:
    with pytest.raises(WorkloadError):
        generated(spec, 1)


@given(st.sampled_from(sorted(GENERATORS)), st.text(max_size=20))
def test_any_spec_is_read_or_refused(name: str, settings: str) -> None:
    try:
        parse_spec(f"{name}:{settings}")
    except WorkloadError:
        return


@pytest.mark.parametrize("name", sorted(set(GENERATORS) - {"mix"}))
def test_lengths_have_their_means(name: str) -> None:
    params = parse_spec(f"{name}:calls=4000")
    workload: Workload = generate(params, np.random.default_rng(5))
    mean = np.mean([call.output_tokens for call in workload.calls if call.output_tokens])
    assert mean == pytest.approx(params.output_tokens, rel=0.06)  # type: ignore[attr-defined]


def test_the_guide_lists_generators_with_all_parameters_and_defaults() -> None:
    listed = {name.strip("`"): re.findall(r"`(\S+)`", defaults) for name, _, defaults in cells(GUIDE, "Generators")}
    assert list(listed) == list(GENERATORS)
    for name, settings in listed.items():
        assert [setting.partition("=")[0] for setting in settings] == [field.name for field in fields(GENERATORS[name])]
        assert parse_spec(f"{name}:{','.join(settings)}") == GENERATORS[name]()


def test_the_guide_explains_each_parameter() -> None:
    names = {field.name for kind in GENERATORS.values() for field in fields(kind)}
    explained = [row[0].strip("`") for row in cells(GUIDE, "Parameters")]
    assert sorted(explained) == sorted(names)

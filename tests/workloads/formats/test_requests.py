from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.workloads import Api, Role, Workload, WorkloadError
from epp.workloads.content import ASSUMED_OUTPUT_TOKENS
from epp.workloads.formats import read_requests
from epp.workloads.lines import TraceLines


def read(*bodies: object) -> Workload:
    return read_requests(TraceLines("t", [json.dumps(body).encode() for body in bodies]))


def said(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


SYSTEM, QUESTION = said("system", "Be brief. " * 10), said("user", "What is this? " * 5)


def test_messages_are_segments_by_role_and_content() -> None:
    first, second = read({"messages": [SYSTEM, QUESTION]}, {"messages": [SYSTEM, said("tool", "ok, go on")]}).calls
    assert [(segment.role, segment.tokens) for segment in first.prompt] == [(Role.SYSTEM, 25), (Role.USER, 18)]
    assert second.prompt[0] == first.prompt[0]
    assert second.prompt[1].role is Role.TOOL
    assert first.output_tokens == ASSUMED_OUTPUT_TOKENS
    assert [call.at_s for call in (first, second)] == [0.0, 1.0]


def test_equal_words_of_another_role_are_another_segment() -> None:
    first, second = read({"messages": [said("user", "hello")]}, {"messages": [said("system", "hello")]}).calls
    assert first.prompt[0].id != second.prompt[0].id


def test_tools_parts_and_tool_calls_count() -> None:
    plain, tools, parts, call = read(
        {"messages": [QUESTION]},
        {"messages": [QUESTION], "tools": [{"type": "function"}]},
        {"messages": [said("user", [{"type": "text", "text": "What is this?"}])]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}]},
    ).calls
    assert tools.prompt[0].role is Role.SYSTEM
    assert tools.prompt[1:] == plain.prompt
    assert len({plain.prompt[0].id, parts.prompt[0].id, call.prompt[0].id}) == 3


def test_limits_models_and_streams_are_kept() -> None:
    first, second = read(
        {"messages": [QUESTION], "max_tokens": 5, "model": "a", "stream": True},
        {"messages": [QUESTION], "max_tokens": 5, "max_completion_tokens": 6, "model": "b"},
    ).calls
    assert (first.output_tokens, first.model, first.stream) == (5, "a", True)
    assert (second.output_tokens, second.model, second.stream) == (6, "b", False)


def test_a_batch_line_is_read_like_its_body() -> None:
    body = {"messages": [QUESTION], "max_tokens": 5}
    wrapped = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    assert [read(wrapped).calls[0].prompt, read(wrapped).calls[0].output] == [
        read(body).calls[0].prompt,
        read(body).calls[0].output,
    ]


def test_prompts_and_inputs_share_their_beginnings() -> None:
    head = "The same beginning of two prompts. "
    one, two, three = read({"prompt": head + "One."}, {"prompt": head + "Two!"}, {"input": head + "Three"}).calls
    assert one.prompt[0] == two.prompt[0] == three.prompt[0]
    assert [call.api for call in (one, two, three)] == [Api.COMPLETIONS, Api.COMPLETIONS, Api.EMBEDDINGS]
    assert three.output_tokens == 0


@pytest.mark.parametrize(
    ("times", "at_s"),
    [
        ([10.5, 12], [0.0, 1.5]),
        ([12, 10.5], [0.0, 1.5]),
        (["2026-01-01T00:00:00Z", "2026-01-01T01:00:01+01:00"], [0.0, 1.0]),
        (["2026-01-01T00:00:00", "2026-01-01T00:00:01Z"], [0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("key", ["at", "timestamp"])
def test_times_are_numbers_or_dates_in_any_order(times: list[object], at_s: list[float], key: str) -> None:
    calls = read(*({"prompt": f"{place}{place}", key: time} for place, time in enumerate(times))).calls
    assert [call.at_s for call in calls] == at_s
    body = {"prompt": "a prompt", key: times[0]}
    assert read({"body": body}, {"body": {"prompt": "b"}, key: times[1]}).duration_s == max(at_s)


def test_a_conversation_that_goes_on_is_a_session_and_tells_its_answers() -> None:
    answer, more = said("assistant", "This is a test. " * 20), said("user", "And that?")
    calls = read(
        {"messages": [SYSTEM, QUESTION], "at": 0},
        {"messages": [said("user", "something else")], "at": 1},
        {"messages": [SYSTEM, QUESTION, answer, more], "at": 30},
        {"messages": [SYSTEM, QUESTION, answer, more, said("assistant", "That too."), QUESTION], "at": 40},
    ).calls
    first, other, second, third = calls
    assert first.output == second.prompt[2]
    assert first.output.tokens == 80
    assert [call.after for call in calls] == [None, None, 0, 2]
    assert first.session == second.session == third.session != other.session
    assert second.at_s == pytest.approx(30 - 80 * 0.012)
    assert second.output == third.prompt[4]


def test_an_answer_that_was_asked_for_again_is_known_once() -> None:
    first, second, third = read(
        {"messages": [QUESTION]},
        {"messages": [QUESTION, said("assistant", "one way"), QUESTION]},
        {"messages": [QUESTION, said("assistant", "another"), QUESTION]},
    ).calls
    assert first.output == second.prompt[1] != third.prompt[1]
    assert (second.after, third.after) == (0, 0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"[]"], "t:1: "),
        ([b"{}"], "t:1: there is no `messages`"),
        ([b'{"messages": []}'], "t:1: the prompt is empty"),
        ([b'{"prompt": ""}'], "t:1: the prompt is empty"),
        ([b'{"prompt": "a", "max_tokens": -1}'], "t:1: max_tokens is -1"),
        ([b'{"prompt": "\\ud800"}'], "t:1: .*mend the line"),
        ([b'{"messages": [{"role": "user", "content": "\\ud800"}]}'], "t:1: .*mend the line"),
        ([b'{"prompt": "a", "at": "soon"}'], "t:1: time 'soon'"),
        ([b'{"prompt": "a", "at": 1}', b'{"prompt": "a"}'], "t:2: this line has no `timestamp`"),
    ],
)
def test_a_bad_line_names_itself(lines: list[bytes], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        read_requests(TraceLines("t", lines))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "body"]), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["messages", "prompt", "input", "body", "model", "max_tokens", "at", "stream", "tools"])


@given(st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=3))
def test_any_json_is_a_workload_or_the_operators_fault(bodies: list[dict[str, object]]) -> None:
    lines = [json.dumps(body).encode("utf-8", "surrogatepass") for body in bodies]
    try:
        workload = read_requests(TraceLines("t", lines))
    except WorkloadError:
        return
    assert len(workload.calls) == len(bodies)

from __future__ import annotations

import json

import pytest

from epp.workloads import Workload, WorkloadError, reusable_tokens
from epp.workloads.formats import read_agent_sessions
from epp.workloads.formats.agent_sessions import MAX_IDLE_S
from epp.workloads.lines import TraceLines

SYSTEM = "You are an agent with many tools, of which each is described here. "
TASK = SYSTEM + "user: find the error in this program"
SECOND = 1_000_000


def line(session: str, at_us: int, prompt: str, answer: str) -> bytes:
    return json.dumps({"timestamp": at_us, "input": prompt, "output": answer, "session_id": session}).encode()


def read(*files: list[bytes]) -> Workload:
    return read_agent_sessions([TraceLines(f"f{number}", lines) for number, lines in enumerate(files)], "archive")


def test_a_session_is_a_chain_in_the_order_of_its_times() -> None:
    workload = read(
        [line("s", 12 * SECOND, TASK + " tool: no", "an answer" * 4), line("s", 10 * SECOND, TASK, "x" * 100)]
    )
    first, second = workload.calls
    assert (first.at_s, first.after, second.after) == (0.0, None, 0)
    assert second.at_s == pytest.approx(2.0 - first.output_tokens * 0.012)
    assert first.session == second.session
    assert second.prompt[: len(first.prompt)] == first.prompt


def test_sessions_share_what_their_texts_share() -> None:
    workload = read([line("a", 0, SYSTEM + "write a poem", "x")], [line("b", SECOND, SYSTEM + "mend a bug", "y")])
    first, second = workload.calls
    assert first.prompt[0] == second.prompt[0]
    assert first.prompt[0].tokens == len(SYSTEM) // 4
    assert first.session != second.session


def test_an_answer_that_is_quoted_after_a_header_is_found_again() -> None:
    answer = "I will look at the program, and then at its tests, line by line."
    workload = read(
        [
            line("s", 0, TASK, answer),
            line(
                "s", SECOND, f"{TASK}\n\nassistant: {answer}\n\nuser: go on please, and tell me more", "done, I think"
            ),
        ]
    )
    first, second = workload.calls
    begin = len(first.prompt)
    assert second.prompt[:begin] == first.prompt
    assert second.prompt[begin].id == first.output.id
    assert second.prompt[begin].tokens == first.output.tokens
    assert reusable_tokens(workload, 1)[1] == first.prompt_tokens + first.output_tokens


def test_an_answer_stays_one_segment_where_another_prompt_parts_within_it() -> None:
    answer = "I will look at the program, and then at its tests, line by line."
    whole = f"{TASK}: {answer}"
    workload = read(
        [line("s", 0, TASK, answer), line("s", SECOND, whole + " And then what?", "nothing more")],
        [line("t", 2 * SECOND, whole[:-30] + "something else that nobody said", "fine")],
    )
    first, second, _ = workload.calls
    assert first.output.id in {segment.id for segment in second.prompt}


def test_idle_time_between_sessions_is_cut() -> None:
    workload = read(
        [line("a", 0, TASK, "x"), line("a", 5 * SECOND, TASK + " more of it", "x")],
        [line("b", 100_000 * SECOND, TASK, "x")],
        [line("c", 100_007 * SECOND, TASK, "x")],
    )
    assert [call.at_s for call in workload.calls if call.after is None] == [0.0, 5 + MAX_IDLE_S, 12 + MAX_IDLE_S]


def test_calls_without_a_prompt_are_left_out_and_without_an_answer_have_one_token() -> None:
    workload = read([line("s", 0, "", "x"), line("s", 1, TASK, "")])
    assert [call.output_tokens for call in workload.calls] == [1]


@pytest.mark.parametrize("text", ["a", "abc", "abcd", "é", "x" * 1000])
def test_short_and_odd_texts_have_at_least_a_token(text: str) -> None:
    (call,) = read([line("s", 0, text, text)]).calls
    size = len(text.encode())
    assert call.prompt_tokens == max(1, size // 4)
    assert call.output_tokens >= 1


def test_a_bad_line_names_file_and_line() -> None:
    with pytest.raises(WorkloadError, match=r"^f0:1: .*mend"):
        read([line("s", 0, "half a pair: \ud800", "b")])
    with pytest.raises(WorkloadError, match=r"^f1:2: "):
        read([line("s", 0, "a", "b")], [line("s", 0, "a", "b"), b'{"timestamp": "x"}'])
    with pytest.raises(WorkloadError, match=r"^archive: "):
        read([line("s", 0, "", "b")])

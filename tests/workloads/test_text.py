import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.exchange import BodyState, Headers
from epp.prefix import BLOCK_BYTES, chain_of
from epp.requests import InferenceRequest, parse
from epp.simulator.calls import parse_chat, parse_completions, parse_embeddings
from epp.workloads import PATHS, Api, Call, Role, Segment, body_of, text_of
from epp.workloads.text import text_bytes

NAME_BYTES = 16
"""A text's first word tells it from others."""

FRAME_BYTES = len('"},{"role":"assistant","content":"')
"""Between two messages."""


def parsed(call: Call) -> InferenceRequest:
    headers = Headers(
        ((":method", b"POST"), (":path", PATHS[call.api].encode()), ("content-type", b"application/json"))
    )
    request = parse(headers, body_of(call, "m"), BodyState.COMPLETE)
    assert isinstance(request, InferenceRequest)
    return request


def common(first: bytes, second: bytes) -> int:
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def chat(*segments: Segment, api: Api = Api.CHAT) -> Call:
    return Call(0.0, segments, Segment(99, 7, Role.ASSISTANT), api=api)


@given(st.integers(0, 2**63 - 1), st.integers(1, 3000), st.floats(0.5, 6.0))
def test_a_text_is_as_long_as_its_tokens_say_and_needs_no_escapes(
    name: int, tokens: int, bytes_per_token: float
) -> None:
    text = text_of(Segment(name, tokens), bytes_per_token)
    assert len(text) == text_bytes(tokens, bytes_per_token) == max(1, round(tokens * bytes_per_token))
    assert re.fullmatch("[a-z ]+", text)


def test_texts_stay_the_same_in_all_versions() -> None:
    assert text_of(Segment(5, 20)) == "galipipivepakivi back still very like our in in so being also most just at what "
    assert text_of(Segment(2**63 - 1, 4)) == "dizegejinelesoso"


def test_texts_of_different_segments_differ_in_their_first_word() -> None:
    assert len({text_of(Segment(number, 4)) for number in range(20_000)}) == 20_000


ROLES = st.sampled_from(Role)
SEGMENTS = st.lists(st.tuples(st.integers(4, 200), ROLES), min_size=1, max_size=6)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[tuple[Segment, ...], tuple[Segment, ...], int]:
    """Two prompts, and how many segments they share; where both go on, they go on differently."""
    shared, first, second = draw(SEGMENTS), draw(SEGMENTS), draw(SEGMENTS)
    made = [
        [Segment(number, *each) for number, each in enumerate(part, 1000 * base)]
        for base, part in enumerate((shared, first, second), 1)
    ]
    return (*made[0], *made[1]), (*made[0], *made[2]), len(shared)


@given(pairs(), st.sampled_from([Api.CHAT, Api.COMPLETIONS]))
def test_raw_prompts_share_what_their_segments_share(
    pair: tuple[tuple[Segment, ...], tuple[Segment, ...], int], api: Api
) -> None:
    one, other, count = pair
    first, second = (parsed(chat(*segments, api=api)) for segments in (one, other))
    beginning = b"".join(parsed(chat(*one[:count], api=api)).prompt).rstrip(b'"}]')
    raw = [b"".join(request.prompt) for request in (first, second)]
    assert len(beginning) <= common(*raw) < len(beginning) + NAME_BYTES + FRAME_BYTES
    chains = [chain_of(request.prompt, 0) for request in (first, second)]
    assert common(*chains) // 8 == common(*raw) // BLOCK_BYTES


@given(SEGMENTS, SEGMENTS, ROLES)
def test_a_conversation_that_goes_on_begins_with_what_it_was(
    before: list[tuple[int, Role]], after: list[tuple[int, Role]], role: Role
) -> None:
    was = [Segment(number, *each) for number, each in enumerate(before)]
    goes_on = [Segment(number, *each) for number, each in enumerate([(9, role), *after], 100)]
    short, long = (b"".join(parsed(chat(*segments)).prompt) for segments in (was, [*was, *goes_on]))
    assert long.startswith(short.removesuffix(b'"}]'))


def test_neighbours_of_one_role_are_one_message_and_tools_speak_as_users() -> None:
    segments = [
        Segment(number, 4, role) for number, role in enumerate([Role.SYSTEM, Role.USER, Role.TOOL, Role.ASSISTANT])
    ]
    messages = json.loads(body_of(chat(*segments), "m"))["messages"]
    texts = [text_of(segment) for segment in segments]
    assert messages == [
        {"role": "system", "content": texts[0]},
        {"role": "user", "content": texts[1] + texts[2]},
        {"role": "assistant", "content": texts[3]},
    ]


def test_a_server_is_told_how_long_its_answer_is() -> None:
    body = json.loads(body_of(chat(Segment(1, 4)), "m"))
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"], body["stream"]) == (7, 7, True, True)
    assert body["stream_options"] == {"include_usage": True}
    read = parse_chat(body_of(chat(Segment(1, 4)), "m"))
    assert (read.max_tokens, read.stream, read.include_usage) == (7, True, True)
    whole = Call(0.0, (Segment(1, 4),), Segment(2, 3), api=Api.COMPLETIONS, stream=False)
    assert "stream_options" not in json.loads(body_of(whole, "m"))
    assert parse_completions(body_of(whole, "m")).max_tokens == 3


def test_embeddings_have_an_input_and_no_answer() -> None:
    call = Call(0.0, (Segment(1, 8), Segment(2, 8)), Segment(3, 1), api=Api.EMBEDDINGS)
    assert json.loads(body_of(call, "m")) == {"model": "m", "input": text_of(Segment(1, 8)) + text_of(Segment(2, 8))}
    assert len(parse_embeddings(body_of(call, "m")).inputs) == 1


@pytest.mark.parametrize(
    ("call", "model"),
    [
        (Call(0.0, (Segment(1, 4),), Segment(2, 1)), "base"),
        (Call(0.0, (Segment(1, 4),), Segment(2, 1), model="other"), "other"),
        (Call(0.0, (Segment(1, 4),), Segment(2, 1), model="other", adapter="lora"), "lora"),
    ],
)
def test_the_model_is_the_adapter_else_the_calls_else_the_pools(call: Call, model: str) -> None:
    assert json.loads(body_of(call, "base"))["model"] == model

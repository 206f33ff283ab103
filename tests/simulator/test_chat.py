import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulator.chat import Message, chat_tokens
from epp.simulator.tokens import END, count_tokens, filler_text


def messages(*texts: str) -> list[Message]:
    """A conversation in which user and assistant take turns."""
    return [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts)]


def raw(*parts: object) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(part)) for part in parts]


@given(st.text(), st.integers(1, 30), st.text())
def test_the_next_turn_begins_with_the_tokens_of_this_one_and_its_reply(question: str, words: int, more: str) -> None:
    reply = filler_text(words, 0)
    first = chat_tokens(messages(question))
    second = chat_tokens(messages(question, reply.decode(), more))
    assert second.startswith(first + reply + END)


def test_a_shared_system_prompt_is_a_shared_beginning() -> None:
    system = Message("system", "You are terse. " * 20)
    first, second = (chat_tokens([system, *messages(text)]) for text in ("one", "two"))
    shared = next(index for index, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
    assert shared // 4 > 75


DIFFERENT = {
    "a role": [Message("tool", "hi")],
    "a content": [Message("user", "ho")],
    "no content": [Message("user")],
    "two messages": messages("hi", ""),
    "a tool call": [Message("user", "hi", msgspec.Raw(b'[{"id":1}]'))],
    "an image": [Message("user", raw({"type": "image_url", "image_url": {"url": "data:,x"}}))],
    "another image": [Message("user", raw({"type": "image_url", "image_url": {"url": "data:,y"}}))],
    "a tool's result": [Message("user", raw({"type": "tool_result", "content": "hi"}))],
}


def test_what_is_different_has_different_tokens() -> None:
    prompts = [chat_tokens(each) for each in (*DIFFERENT.values(), messages("hi"))]
    prompts += [chat_tokens(messages("hi"), b'[{"name":"f"}]')]
    assert len(set(prompts)) == len(prompts)


def test_a_text_part_is_as_good_as_a_text() -> None:
    assert chat_tokens([Message("user", raw({"type": "text", "text": "hi"}))]) == chat_tokens(messages("hi"))


def test_an_image_has_the_length_of_an_image_however_small_its_url() -> None:
    image = Message("user", raw({"type": "image_url", "image_url": {"url": "data:,x"}}))
    assert count_tokens(chat_tokens([image])) - count_tokens(chat_tokens([Message("user")])) == 257


def test_a_part_must_be_an_object() -> None:
    with pytest.raises(msgspec.ValidationError):
        chat_tokens([Message("user", raw("text"))])

import json

from epp.simulator.errors import engine_dead
from epp.simulator.messages import messages_reply, messages_stream
from epp.simulator.replies import Choice, ReplyHead
from epp.simulator.sequences import Finish
from epp.simulator.tokens import filler_text
from tests.simulator.captures import capture, events, shape

HEAD = ReplyHead(id="chatcmpl-1", model="m", created=1, block_size=16)


def choice(prompt: int, output: int, finish: Finish = Finish.LENGTH) -> Choice:
    return Choice(0, 0, prompt, filler_text(output, 0), finish)


def test_a_whole_reply_is_what_vllm_writes() -> None:
    assert shape(messages_reply(HEAD, [choice(6, 3)], [0]).decode()) == shape(capture("messages.json").strip())


def test_input_tokens_are_those_that_were_not_cached() -> None:
    reply = json.loads(messages_reply(HEAD, [choice(100, 3, Finish.STOP)], [96]))
    assert reply["usage"]["input_tokens"] == 4
    assert reply["usage"]["cache_read_input_tokens"] == 96
    assert reply["stop_reason"] == "end_turn"


def test_a_stream_opens_a_block_fills_it_and_closes_it() -> None:
    only = choice(100, 3)
    stream = messages_stream(HEAD, [only])
    text = (stream.tokens(only, 0, 2) + stream.tokens(only, 2, 3) + stream.end([96])).decode()
    parts = events(text)
    kinds = [part["type"] for part in parts]
    assert kinds == [
        *("message_start", "content_block_start"),
        *(["content_block_delta"] * 3),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event")] == kinds
    assert "".join(part["delta"]["text"] for part in parts[2:5]).encode() == only.text
    assert parts[0]["message"]["usage"] == {"input_tokens": 100, "output_tokens": 0}
    assert parts[-2]["delta"] == {"stop_reason": "max_tokens"}
    assert parts[-2]["usage"]["cache_read_input_tokens"] == 96
    assert "[DONE]" not in text


def test_a_stream_that_the_engine_left_ends_with_an_error_event() -> None:
    text = messages_stream(HEAD, [choice(1, 1)]).error(engine_dead())
    assert text == b"event: error\ndata: " + engine_dead().anthropic() + b"\n\n"

"""Ready-made exchanges: what Envoy sends for one HTTP request, as bytes, and how to know what comes back.

The messages are those of Envoy 1.40 with the configurations that `epp` prints, header for header. The body is a chat
with a system prompt that all requests share (its first half) and a question of its own: a number in it makes each
prompt different from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bench.extproc.http2 import prefixed
from epp.extproc import wire_pb2 as wire
from epp.protocol import DESTINATION, LB_NAMESPACE

__all__ = ["DIGITS", "AnswerKind", "Exchange", "Message", "Reply", "exchange"]

DIGITS = 12
"""Decimal digits of the number in a prompt."""

_MARK = b"#" * DIGITS

MODEL = "meta-llama/Llama-3.1-8B-Instruct"

_DESTINATION_LIKE = "10.128.100.100:8000"
"""Stands in the metadata that a proxy sends back after the pick. Its value is read by nobody."""


class Reply(Enum):
    """What the proxy shows of the reply."""

    FULL = "full"
    LEAN = "lean"
    """Headers only: no chunk reaches the picker."""


class AnswerKind(Enum):
    """What an answer is about: the first byte of a ProcessingResponse, which is the tag of its oneof."""

    REQUEST_HEADERS = 0x0A
    REPLY_HEADERS = 0x12
    REQUEST_BODY = 0x1A
    REPLY_BODY = 0x22
    REFUSAL = 0x3A


@dataclass(frozen=True, slots=True)
class Message:
    """A gRPC message with its prefix; with a number between its halves, unless `after` is None."""

    before: bytes
    after: bytes | None = None

    def numbered(self, number: int) -> bytes:
        """The message with this number in it."""
        return self.before if self.after is None else b"%b%0*d%b" % (self.before, DIGITS, number, self.after)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its reply."""

    prompt_bytes: int
    """Length of the body."""
    reply: Reply
    chunks: int
    """Of the reply that the proxy shows, without the empty one that ends it."""
    request: tuple[Message, ...]
    reply_headers: Message
    reply_body: tuple[Message, ...]


def exchange(prompt_bytes: int, chunks: int, reply: Reply = Reply.FULL, *, frame_bytes: int | None = None) -> Exchange:
    """An exchange with a body of that length, in messages of `frame_bytes` or in one."""
    body = chat_body(prompt_bytes)
    step = frame_bytes or len(body)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    messages = [_request_headers(len(body), reply), *(_body_piece(piece) for piece in pieces[:-1])]
    messages.append(_body_piece(pieces[-1], end=True))
    shown = chunks if reply is Reply.FULL else 0
    return Exchange(
        prompt_bytes=len(body),
        reply=reply,
        chunks=shown,
        request=tuple(_split(message) for message in messages),
        reply_headers=_split(_reply_headers()),
        reply_body=_reply_body(shown),
    )


def chat_body(size: int) -> bytes:
    """A chat completion of exactly `size` bytes, with the mark where the number goes."""
    shape = (
        b'{"model":"%b","stream":true,"max_tokens":256,"messages":'
        b'[{"role":"system","content":"%b"},{"role":"user","content":"%b%b"}]}'
    )
    rest = size - len(shape % (MODEL.encode(), b"", _MARK, b""))
    if rest < 0:
        raise ValueError(f"a body of {size} bytes is too short for a chat: {size - rest} bytes at least")
    system = rest // 2
    return shape % (MODEL.encode(), _text(system), _MARK, _text(rest - system))


def _text(size: int) -> bytes:
    words = b"You are a careful assistant who answers in whole sentences and says so when something is not known. "
    return (words * (size // len(words) + 1))[:size]


def _request_headers(content_length: int, reply: Reply) -> wire.ProcessingRequest:
    message = wire.ProcessingRequest()
    _add_headers(
        message.request_headers.headers,
        {
            ":authority": "llm.example.com",
            ":path": "/v1/chat/completions",
            ":method": "POST",
            ":scheme": "http",
            "authorization": "Bearer sk-0123456789abcdef0123456789abcdef",
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": "OpenAI/Python 1.99.0",
            "content-length": str(content_length),
            "content-type": "application/json",
            "x-forwarded-for": "192.0.2.2",
            "x-forwarded-proto": "http",
            "x-envoy-external-address": "192.0.2.2",
            "x-request-id": "ef8138bf-46f6-4a3b-a233-" + _MARK.decode(),
        },
    )
    message.protocol_config.request_body_mode = wire.FULL_DUPLEX_STREAMED
    message.protocol_config.response_body_mode = wire.FULL_DUPLEX_STREAMED if reply is Reply.FULL else wire.NONE
    return message


def _body_piece(data: bytes, *, end: bool = False) -> wire.ProcessingRequest:
    message = wire.ProcessingRequest()
    message.request_body.body = data
    message.request_body.end_of_stream = end
    return message


def _reply_headers() -> wire.ProcessingRequest:
    message = wire.ProcessingRequest(metadata_context=_metadata())
    _add_headers(
        message.response_headers.headers,
        {
            ":status": "200",
            "content-type": "text/event-stream; charset=utf-8",
            "transfer-encoding": "chunked",
            "date": "Sat, 21 Nov 2026 14:22:45 GMT",
            "server": "uvicorn",
        },
    )
    return message


def _reply_body(chunks: int) -> tuple[Message, ...]:
    """Events of a stream, the last with usage, and the empty chunk with which Envoy ends a chunked reply."""
    if not chunks:
        return ()
    event = (
        b'data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk",'
        b'"created":1795000000,"model":"%b",'
        b'"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
    ) % MODEL.encode()
    usage = (
        b'data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk",'
        b'"created":1795000000,"model":"%b","choices":[],"usage":{"prompt_tokens":100,"total_tokens":%d,"completion_tokens":%d}}\n\n'
        b"data: [DONE]\n\n"
    ) % (MODEL.encode(), 100 + chunks, chunks)
    pieces = [*[event] * (chunks - 1), usage, b""]
    return tuple(_reply_chunk(piece, end=not piece) for piece in pieces)


def _reply_chunk(data: bytes, *, end: bool) -> Message:
    message = wire.ProcessingRequest(metadata_context=_metadata())
    message.response_body.body = data
    message.response_body.end_of_stream = end
    return _split(message)


def _add_headers(target: wire.HeaderMap, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        header = target.headers.add()
        header.key = name.encode()
        header.raw_value = value.encode()


def _metadata() -> bytes:
    """What Envoy forwards with every message after the pick."""
    metadata = wire.Metadata()
    metadata.filter_metadata[LB_NAMESPACE].fields[DESTINATION].string_value = _DESTINATION_LIKE
    return metadata.SerializeToString()


def _split(message: wire.ProcessingRequest) -> Message:
    before, mark, after = prefixed(message.SerializeToString()).partition(_MARK)
    return Message(before, after if mark else None)

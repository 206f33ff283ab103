"""What a request is, once it has been read: the same shape for every API that model servers speak."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from epp.exchange import Headers

__all__ = ["Dialect", "InferenceRequest", "Malformed", "Media", "Operation", "ReplyFault", "ReplyReport", "Usage"]


class Dialect(Enum):
    """Whose error format the client of a path expects."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Operation(Enum):
    """What the client asks for; the value is the label in metrics and logs."""

    CHAT = "chat_completions"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    GENERATE = "generate"
    RENDER = "render"
    TOKENIZE = "tokenize"
    POOLING = "pooling"
    CLASSIFY = "classify"
    SCORE = "score"
    RERANK = "rerank"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    OPAQUE = "opaque"
    """Anything else: placed by load, body unread."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, audio or video item of a prompt, kept apart from its text."""

    kind: str
    """`image`, `audio` or `video`."""
    digest: bytes
    """Eight bytes that identify the content or its URL."""
    size_bytes: int
    """Length of the URL, base64 text or hash in the body."""


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One request, read as far as placing it needs. Holds copies of its prompt: keep it no longer than needed."""

    operation: Operation
    dialect: Dialect
    headers: Headers
    size_bytes: int
    """Length of the body as it was sent."""
    model: str = ""
    """As the client named it; empty when it named none."""
    target_model: str = ""
    """What the model server is asked for: `model`, or what a rewrite made of it."""
    adapter: str = ""
    """`target_model` when it is a LoRA adapter, else empty."""
    prompt: tuple[bytes, ...] = ()
    """Raw JSON of the parts that reach the model, in the order in which it sees them (tools, system, messages or
    prompt), with each media item replaced by its digest. Equal prompts have equal bytes; a longer conversation begins
    with the bytes of a shorter one, but for the closing bracket."""
    prompt_tokens: int | None = None
    """Number of prompt tokens where the client sent token ids, else None."""
    media: tuple[Media, ...] = ()
    cache_salt: str = ""
    stream: bool = False
    max_output_tokens: int | None = None
    """The client's limit; 0 for operations that generate nothing."""
    model_span: tuple[int, int] | None = None
    """Where the JSON value of the model stands in the body (start, end); None when there is none or it cannot be
    replaced."""
    prompt_bytes: int = field(default=0)
    """Length of `prompt` without media."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A complete body that must be JSON and is not: the client's error, to be answered with 400."""

    message: str
    """For the client."""
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply says about its own cost, in tokens; None where it does not say."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


class ReplyFault(Enum):
    """How a reply failed although its status says success."""

    ENGINE_ERROR = "engine-error"
    """An error object where the answer should be: vLLM's engine died, or is being shut down."""
    ENGINE_ABORT = "engine-abort"
    """`finish_reason` is `abort` and nothing was generated: vLLM while it drains."""
    EMPTY = "empty"
    """No data at all."""


@dataclass(frozen=True, slots=True)
class ReplyReport:
    """What the ends of a reply say."""

    usage: Usage = Usage()
    fault: ReplyFault | None = None
    data_events: int = 0
    """Server-sent events with data, without a closing `[DONE]`."""

"""The format of the decision log: one JSON object per line, for each request that is over.

Who writes the log (`epp.telemetry.decision_log`) and who replays it share this description, so it imports no room.
A line tells sizes, times, choice and explanation, and never text of a prompt, header values, request ids or users.

Every line carries the format's version. Within one version fields may be added, and readers pass over those that they
do not know. A field that is not known, or has its default, is left out. Numbers of tokens are whole.

The prompt is known by hashes. The picker cuts its raw bytes into blocks of 256, and the hash of a block names the whole
prompt up to its end, with model, adapter and cache salt. Of these the log has every `block_stride`-th, and the last.
Two requests with equal hashes at one place begin alike up to there; what comes after the last hash (less than a block)
is not known. The hashes are not keyed: who has the log and can guess a prompt can see that it was sent.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK_BYTES",
    "HASH_BYTES",
    "VERSION",
    "DecisionLineError",
    "LoggedCandidate",
    "LoggedDecision",
    "decode_line",
    "encode_line",
    "sampled_blocks",
    "sampled_hashes",
]

VERSION = 1

BLOCK_BYTES = 256
"""Bytes of raw prompt per block. Part of the version: a test holds it to the picker's own."""

_HASH = np.dtype("<u8")
HASH_BYTES = _HASH.itemsize


class DecisionLineError(ValueError):
    """A line that is no decision: cut short by a crash, not ours, or of another version."""


class LoggedCandidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One endpoint of those that could be picked."""

    endpoint: str
    """`ip:port`."""
    total: float | None = None
    """What the picker compared, higher is better: the weighted sum of scores, or the cost with its sign turned. None:
    nothing finite."""
    matched_tokens: int = 0
    """Prompt tokens that the prefix index knew there."""
    terms: dict[str, float | None] = {}
    """Summands of the cost by name, in tokens; lower is better."""
    scores: dict[str, float | None] = {}
    """Scores by plugin, unweighted, 0 to 1; higher is better."""


class LoggedDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    v: int
    """Version of the format."""
    t: float
    """When the whole request was there, in seconds since 1970. Of a refused one, when it was refused."""
    pool: str
    """Name of the pool."""
    id: str = ""
    """The decision's id, as in `epp explain --id`. Empty: refused."""
    rejected: str = ""
    """Why it was refused, as in `x-llm-d-request-dropped-reason`. Empty: placed."""
    operation: str = ""
    """What was asked for, as in `epp explain`: `chat_completions`, `completions`, ...; empty for refused ones."""
    model: str = ""
    """As the client named it; at most 256 characters, here and below."""
    target_model: str = ""
    """What the model server was asked for, where it is another than `model`."""
    adapter: str = ""
    """The target model where it is a LoRA adapter."""
    stream: bool = False
    """The client asked for a stream."""
    body_bytes: int = 0
    """Length of the request's body."""
    prompt_bytes: int = 0
    """Length of the raw prompt, without media."""
    expected_prompt_tokens: int = 0
    """Estimated from these bytes and media, or counted where the client sent token ids."""
    expected_output_tokens: int = 0
    """Estimated from earlier answers and the client's limit."""
    block_count: int = 0
    """Whole blocks of 256 bytes in the prompt."""
    block_stride: int = 0
    """Hashes are of blocks number `stride`, 2 * `stride`, ... (the first block is number 1), and of the last one."""
    blocks: bytes = b""
    """These hashes in order, eight bytes each, little-endian; base64."""
    endpoint: str = ""
    """The pick."""
    profile: str = ""
    """Scheduling profile that picked it."""
    note: str = ""
    """Why the decision was not made in the ordinary way."""
    predicted_cached_tokens: int = 0
    """Prompt tokens that the pick was believed to hold."""
    predicted_ttft_s: float | None = None
    """Time from `t` to the first token as it was predicted from the prefill work on the pick."""
    served: str = ""
    """Endpoint that really served, when the proxy reported another one than the pick."""
    status: int = 0
    """HTTP status of the reply, or of the refusal. 0: no reply was seen."""
    verdict: str = ""
    """What the reply says about the endpoint: `good`, `failed`, `busy`, `unknown`."""
    ttft_s: float | None = None
    """Time from `t` to the first token; streams only, where replies are seen."""
    duration_s: float | None = None
    """Time from `t` to the end of the request."""
    prompt_tokens: int | None = None
    """As the reply reported, here and below; None where it did not."""
    cached_tokens: int | None = None
    """Prompt tokens that came out of the cache."""
    completion_tokens: int | None = None
    """Tokens of the answer."""
    candidates: int = 0
    """Endpoints that there were."""
    out: dict[str, int] = {}
    """How many of them each filter took out."""
    why: tuple[LoggedCandidate, ...] = ()
    """The picked ones and the next best, eight at most."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LoggedDecision)


def encode_line(decision: LoggedDecision) -> bytes:
    """The line with its end. Raises UnicodeEncodeError for text that is not Unicode."""
    return _ENCODER.encode(decision) + b"\n"


def decode_line(line: bytes | str) -> LoggedDecision:
    """The decision of a line, with or without its end. Raises DecisionLineError, which says what is wrong."""
    try:
        decision = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecisionLineError(f"not a line of a decision log: {error}") from error
    if decision.v != VERSION:
        raise DecisionLineError(f"version {decision.v} of the decision log; this program reads version {VERSION}")
    return decision


def sampled_hashes(chain: bytes, stride: int) -> bytes:
    """Every `stride`-th hash of a chain of eight-byte hashes, and the last: the field `blocks`."""
    hashes = np.frombuffer(chain, _HASH)
    sampled = hashes[stride - 1 :: stride].tobytes()
    return sampled + hashes[-1:].tobytes() if len(hashes) % stride else sampled


def sampled_blocks(decision: LoggedDecision) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """What is known of the prompt: numbers of blocks, ascending from 1 to `block_count`, and their hashes.

    `number * BLOCK_BYTES` is the length of the prefix that a hash names. Raises DecisionLineError when the fields
    contradict one another.
    """
    count, stride = decision.block_count, decision.block_stride
    if not count and not decision.blocks:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    if stride < 1 or len(decision.blocks) != HASH_BYTES * -(-count // stride):
        raise DecisionLineError(
            f"{len(decision.blocks)} bytes of hashes do not fit block_count {count} with block_stride {stride}"
        )
    hashes = np.frombuffer(decision.blocks, _HASH).astype(np.uint64)
    numbers = np.minimum(np.arange(1, len(hashes) + 1, dtype=np.int64) * stride, count)
    return numbers, hashes

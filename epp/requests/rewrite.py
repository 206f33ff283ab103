"""Changes the model's name in a request, and puts the client's name back in the reply. All other bytes stay.

In a reply the pair `"model": "<name>"` is searched as text, in JSON and in event streams alike, at any depth: Anthropic
and the responses API nest it. A quote inside a JSON string has a backslash before it, so text that talks about such a
pair is not one.
"""

from __future__ import annotations

import json
import re

__all__ = ["ModelRestorer", "replace_model"]

MAX_SPACE_BYTES = 64
"""White space on either side of the colon. A pair with more is left alone, so that little is ever held back."""

_ESCAPE_BYTES = 12
"""Most bytes in JSON for one character: two escaped surrogates."""

_KEY = b'"model"'

_SPACE = rb"[ \t\n\r]{0,%d}+" % MAX_SPACE_BYTES
_VALUE = re.compile(_SPACE + rb":" + _SPACE + rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)

_TO_VALUE = _SPACE + rb"(?::" + _SPACE + rb'(?:"([^"\\]*+(?:\\.[^"\\]*+)*+\\?+))?)?'
_UNFINISHED = re.compile(rb'"(?<!\\")(?:model"' + _TO_VALUE + rb"|model|mode|mod|mo|m)?\Z", re.DOTALL)
"""The end of a text, where it may be the beginning of a pair."""


def replace_model(body: bytes, span: tuple[int, int], name: str) -> bytes:
    """The body with another model name at `span`, the place of the present value (`InferenceRequest.model_span`)."""
    start, end = span
    return b"".join((body[:start], _encode(name), body[end:]))


class ModelRestorer:
    """A `ReplyTransform`: where a reply names the model `target`, it names `model` instead.

    Holds back only what may be the beginning of a pair, at most some hundred bytes; where chunks are cut makes no
    difference to the bytes that come out.
    """

    def __init__(self, target: str, model: str) -> None:
        self._target = target
        self._target_bytes = target.encode("utf-8", "surrogatepass")
        self._model_json = _encode(model)
        self._max_value_bytes = _ESCAPE_BYTES * len(target)
        self._window = len(_KEY) + 2 * MAX_SPACE_BYTES + len(b':""') + self._max_value_bytes
        self._seen = b""
        """What is held back, and before it the last byte that was let go: it may be a backslash."""
        self._fresh = 0
        """Where in `_seen` begins what is held back."""

    def __repr__(self) -> str:
        return f"<ModelRestorer {self._target!r} -> {self._model_json!r}, {len(self._seen) - self._fresh} B held>"

    def feed(self, data: bytes, *, end: bool) -> bytes:
        """The bytes to send instead of `data`."""
        text = self._seen + data
        pieces: list[bytes] = []
        position = self._restore(text, self._fresh, pieces)
        keep = len(text) if end else self._unfinished(text, position)
        pieces.append(text[position:keep])
        self._fresh = min(keep, 1)
        self._seen = text[keep - self._fresh :]
        return b"".join(pieces)

    def _restore(self, text: bytes, position: int, pieces: list[bytes]) -> int:
        """Replaces whole pairs. Returns where the text begins that is not yet among the pieces."""
        key = text.find(_KEY, position)
        while key >= 0:
            value = None if text[key - 1 : key] == b"\\" else _VALUE.match(text, key + len(_KEY))
            if value is not None and self._is_target(value[1]):
                pieces += (text[position : value.start(1) - 1], self._model_json)
                position = value.end()
                key = text.find(_KEY, position)
            else:
                key = text.find(_KEY, key + 1)
        return position

    def _unfinished(self, text: bytes, position: int) -> int:
        """Where the first possible beginning of a pair is that the text does not end; else the end of the text."""
        position = max(position, len(text) - self._window)
        while match := _UNFINISHED.search(text, position):
            if match[1] is None or self._may_become_target(match[1]):
                return match.start()
            position = match.start() + 1
        return len(text)

    def _is_target(self, value: bytes) -> bool:
        """Whether this is the target's name between JSON quotes, in whatever way it is escaped."""
        if b"\\" not in value:
            return value == self._target_bytes
        if len(value) > self._max_value_bytes:
            return False
        try:
            return bool(json.loads(b'"' + value + b'"') == self._target)
        except ValueError:
            return False

    def _may_become_target(self, value: bytes) -> bool:
        if b"\\" not in value:
            return self._target_bytes.startswith(value)
        return len(value) <= self._max_value_bytes


def _encode(text: str) -> bytes:
    """ASCII, as any server and client can read it."""
    return json.dumps(text).encode("ascii")

"""Finds values in JSON text that is cut off, or whose positions are needed: a scanner that builds nothing.

It expects JSON and does not check it. Text that is something else gives wrong values, never an exception. Strings and
runs without brackets are skipped by regular expressions, so the cost in Python is per bracket and per member, and there
is a limit for these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Member", "members", "name_of", "start_of_object", "string_end", "value_end"]

MAX_STEPS = 20_000
"""Brackets in one object or value: 8 ms. What comes after them counts as cut off. A message has two brackets and a tool
call four; only hostile texts have this many."""

MEMBER_STEPS = 8
"""A member of the object costs as much as this many brackets. Requests have some dozens."""

_SPACE = rb"[ \t\n\r]*+"
_PLAIN = rb"[\x00-\x21\x23-\x5b\x5d-\xff]*+"
"""Neither quote nor backslash. Written as ranges because the regex engine takes these three times as fast as `[^"]`."""
_STRING = rb'"' + _PLAIN + rb"(?:\\." + _PLAIN + rb')*+"'
_UNBRACKETED = rb"[\x00-\x21\x23-\x5a\x5c\x5e-\x7a\x7c\x7e-\xff]"
"""Neither quote nor bracket."""

_STRING_VALUE = re.compile(_STRING, re.DOTALL)
_KEY = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_COMMA = re.compile(_SPACE + rb",")
_SCALAR = re.compile(rb'[^ \t\n\r,:"\[\]{}]++')
_TO_BRACKET = re.compile(rb"(?:" + _UNBRACKETED + rb"++|" + _STRING + rb")*+([\[\]{}])", re.DOTALL)
_OBJECT_START = re.compile(rb"(?:\xef\xbb\xbf)?+" + _SPACE + rb"\{")

_OPENING = (b"[", b"{")


class Member(NamedTuple):
    """A member of an object, by positions in the text."""

    key: bytes
    """With its quotes."""
    start: int
    """Of the value."""
    end: int | None
    """After the value; None when it goes on beyond the text, or beyond the limit of steps."""


def start_of_object(text: bytes) -> int | None:
    """Where the object begins that is the whole document, or None when it is something else."""
    match = _OBJECT_START.match(text)
    return match.end() - 1 if match else None


def members(text: bytes, start: int, *, nested: bool = True) -> Iterator[Member]:
    """The members of the object that begins at `start`, lazily, until it ends or is cut off.

    Not `nested`: or until a member's value is an object or an array, so that the cost is that of flat text.
    """
    position, steps = start + 1, MAX_STEPS
    while match := _KEY.match(text, position):
        begin = match.end()
        if not nested and text[begin : begin + 1] in _OPENING:
            return
        end, steps = _value_end(text, begin, steps - MEMBER_STEPS)
        yield Member(match[1], begin, end)
        comma = _COMMA.match(text, end) if end is not None else None
        if comma is None:
            return
        position = comma.end()


def name_of(key: bytes) -> str:
    """A member's name without quotes and escapes; empty when it is not text."""
    try:
        return str(json.loads(key)) if b"\\" in key else key[1:-1].decode()
    except ValueError:
        return ""


def value_end(text: bytes, start: int, steps: int = MAX_STEPS) -> int | None:
    """Where the value that begins at `start` ends, or None when it goes on beyond the text or the limit of steps."""
    return _value_end(text, start, steps)[0]


def string_end(text: bytes, start: int) -> int | None:
    """Where the string that begins with the quote at `start` ends. Costs next to nothing when it has no escapes."""
    quote = text.find(b'"', start + 1)
    if quote < 0 or text.find(b"\\", start, quote) < 0:
        return quote + 1 or None
    match = _STRING_VALUE.match(text, start)
    return match.end() if match else None


def _value_end(text: bytes, start: int, steps: int) -> tuple[int | None, int]:
    """End of a value, and the steps that are left."""
    first = text[start : start + 1]
    if steps <= 0:
        return None, 0
    if first == b'"':
        return string_end(text, start), steps
    if first in _OPENING:
        return _nested_end(text, start, steps)
    scalar = _SCALAR.match(text, start)
    return (scalar.end() if scalar and scalar.end() < len(text) else None), steps


def _nested_end(text: bytes, start: int, steps: int) -> tuple[int | None, int]:
    depth, position = 1, start + 1
    for left in range(steps - 1, -1, -1):
        match = _TO_BRACKET.match(text, position)
        if match is None:
            break
        position = match.end()
        depth += 1 if match[1] in _OPENING else -1
        if not depth:
            return position, left
    return None, 0

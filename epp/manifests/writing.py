"""Writes nodes as YAML, in the layout that kubectl has.

What was plain is written as it stood; what was quoted is quoted where it could be taken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from epp.documents import NULLS, Node

__all__ = ["text_size", "write_document"]

_PLAIN_TEXT = re.compile(r"[A-Za-z_][-A-Za-z0-9_./]*")
"""Text without quotes that no reader of YAML takes for anything else but one of `_WORDS`."""

_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n"} | {word.lower() for word in NULLS})

_WIDTH = 1 << 20
"""Columns after which the emitter would fold text: never."""


def write_document(root: Node) -> str:
    """The node as one document that ends with a line end, without a marker before it."""
    events = (
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_events(root),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    )
    written: str = yaml.emit(events, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDTH)
    return written


def text_size(root: Node) -> int:
    """Characters of all scalars and keys, each as often as it would be written: aliases are expanded."""
    size, rest = 0, [root]
    while rest:
        value = rest.pop().value
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, list):
            rest.extend(value)
        else:
            size += sum(map(len, value))
            rest.extend(value.values())
    return size


def _events(node: Node) -> Iterator[yaml.Event]:
    if isinstance(node.value, str):
        yield _scalar(node.value, plain=node.plain)
    elif isinstance(node.value, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=False)
        for item in node.value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    else:
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=False)
        for key, value in node.value.items():
            yield _scalar(key, plain=False)
            yield from _events(value)
        yield yaml.MappingEndEvent()


def _scalar(value: str, *, plain: bool) -> yaml.ScalarEvent:
    plain = plain or (_PLAIN_TEXT.fullmatch(value) is not None and value.lower() not in _WORDS)
    return yaml.ScalarEvent(None, None, (plain, True), value, style="|" if "\n" in value and not plain else None)

"""Reads one YAML or JSON document into nodes that know where they were written, in bounded time and memory.

Works on PyYAML's event stream, because its composer recurses in C: 100 KB of `[` end the process there. Refused, each
with its place: tags (nothing is constructed), merge keys, keys that are no text, keys that stand twice, more than one
document, too much depth or too many nodes. An alias stands for a copy of what its anchor named, and counts as such.

Plain scalars are resolved as the Go picker does, with two exceptions that protect from surprise: numbers with leading
zeros (octal in YAML 1.1) and `.inf`, `.nan` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import yaml

from epp.config.errors import Findings, Place, Problem

__all__ = ["MAX_BYTES", "Json", "Node", "Scalar", "read_document", "resolve_scalar"]

MAX_BYTES = 1024 * 1024
"""A configuration with a hundred plugins has 10 KB; a ConfigMap cannot hold more than this."""

MAX_DEPTH = 32
"""Levels of nesting; a file of ours needs seven, and parameters of a user's plugin some more."""

MAX_NODES = 20_000
"""After aliases are expanded: room for 10,000 endpoints by name."""

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = Scalar | list["Json"] | dict[str, "Json"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NO_KEYS: Mapping[str, Place] = MappingProxyType({})

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    text: str = ""
    """A scalar as it was written."""
    keys: Mapping[str, Place] = field(default_factory=lambda: _NO_KEYS)
    """Where the keys of a mapping were written."""
    size: int = 1
    """Nodes in it, itself included."""

    def plain(self) -> Json:
        """The value without places. A key with nothing after it counts as not written."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items() if item.value is not None}
        return self.value

    def child(self, key: str) -> Node | None:
        """The value of a key of a mapping; None when it is no mapping, or the key is absent or has nothing after it."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if found and found.value is not None else None

    def items(self) -> list[Node]:
        """The items of a list; nothing when it is none."""
        return self.value if isinstance(self.value, list) else []


def resolve_scalar(text: str) -> Scalar:
    """What a plain (unquoted) scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def read_document(data: bytes, source: str, findings: Findings) -> Node | None:
    """The one document in `data`; None when there is none, or it cannot be read at all: then with errors."""
    if len(data) > MAX_BYTES:
        findings.errors.append(Problem(Place(source, 1, 1), "", f"larger than {MAX_BYTES} bytes"))
        return None
    try:
        return _Reader(source, findings).read(yaml.parse(data, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        findings.errors.append(_translated(error, source, data))
    except (yaml.YAMLError, UnicodeError) as error:
        place = Place(source, *_position(data, getattr(error, "position", None)))
        findings.errors.append(Problem(place, "", f"not YAML or JSON text: {str(error).splitlines()[0]}"))
    except _TooMuchError as error:
        findings.errors.append(Problem(error.place, "", str(error)))
    return None


def _translated(error: yaml.MarkedYAMLError, source: str, data: bytes) -> Problem:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "not YAML"
    if error.context and error.context_mark:
        problem = f"{error.context} that begins in line {error.context_mark.line + 1}, {problem}"
    last = data.count(b"\n") + (not data.endswith(b"\n"))  # a mark at the end of the text is a line further
    place = Place(source, min(mark.line + 1, last), mark.column + 1) if mark else Place(source, 1, 1)
    return Problem(place, "", f"not valid YAML: {problem}")


def _position(data: bytes, offset: int | None) -> tuple[int, int]:
    before = data[: offset or 0]
    return before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1


class _TooMuchError(Exception):
    """A bound is passed; reading ends there."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


class _Reader:
    """Builds nodes from events. Recursion is bounded by MAX_DEPTH."""

    def __init__(self, source: str, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def read(self, events: Iterator[yaml.Event]) -> Node | None:
        document: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and document is not None:
                raise _TooMuchError(self._place(event), "a second document begins here: one is expected")
            if isinstance(event, yaml.NodeEvent):
                document = self._node(event, events, 0)
        return document

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        place = self._place(event)
        if depth > MAX_DEPTH:
            raise _TooMuchError(place, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        self._count(1, place)
        if getattr(event, "tag", None) not in (None, "!"):
            self._error(place, f"tag {event.tag!r}: tags have no meaning here, write the value itself")  # type: ignore[attr-defined]
        node = self._value(event, events, place, depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._error(place, f"alias *{event.anchor} has no anchor &{event.anchor} before it")
            return Node(None, place)
        self._count(node.size, place)
        return node

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], place: Place, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = [self._node(item, events, depth + 1) for item in _until(events, yaml.SequenceEndEvent)]
            return Node(items, place, size=1 + sum(item.size for item in items))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, place, depth)
        assert isinstance(event, yaml.ScalarEvent)
        value: Scalar = resolve_scalar(event.value) if event.implicit[0] else str(event.value)
        return Node(value, place, text=str(event.value))

    def _mapping(self, events: Iterator[yaml.Event], place: Place, depth: int) -> Node:
        mapping: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for event in _until(events, yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            name = key.text
            if isinstance(key.value, list | dict):
                self._error(key.place, "a key must be text")
            elif name == "<<":
                self._error(key.place, "merge keys have no meaning here: write the keys out, or alias whole values")
            elif name in mapping:
                self._error(key.place, f"key {name[:80]!r} stands here again, first in line {keys[name].line}")
            else:
                mapping[name], keys[name] = value, key.place
        return Node(mapping, place, keys=keys, size=1 + sum(item.size for item in mapping.values()))

    def _count(self, nodes: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _TooMuchError(place, f"more than {MAX_NODES} values, aliases expanded")

    def _error(self, place: Place, message: str) -> None:
        self._findings.errors.append(Problem(place, "", message))

    def _place(self, event: yaml.Event) -> Place:
        assert event.start_mark is not None  # of all events that a parser makes
        return Place(self._source, event.start_mark.line + 1, event.start_mark.column + 1)


def _until(events: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    """Events up to the one that ends the collection. Each is the first of a node, which the caller reads on."""
    for event in events:
        if isinstance(event, end):
            return
        yield event

"""Reads a small YAML or JSON document with a line number for each value, in bounded time and memory.

Works on PyYAML's event stream, because its composer recurses in C: 100 KB of `[` end the process there. JSON is read
as the YAML that it is. All scalars are text, as they stand in the document; null is the empty text. An alias refers
to the value that its anchor named and copies nothing; merge keys (`<<`) have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

__all__ = ["DocumentError", "Node", "read_document"]

MAX_DEPTH = 8
"""Levels of nesting. An endpoint file needs four; libyaml takes quadratic time in the depth of brackets."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(ValueError):
    """The document cannot be read. `line` counts from 1; None when the fault has no place."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line, counted from 1, on which it begins."""

    value: str | list[Node] | dict[str, Node]
    line: int


def read_document(data: bytes) -> Node | None:
    """The one document in `data`; None when there is none. Raises DocumentError."""
    reader = _Reader()
    try:
        return reader.read(yaml.parse(data, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise _translated(error) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise DocumentError(f"not YAML or JSON text: {str(error).splitlines()[0]}") from None


def _translated(error: yaml.MarkedYAMLError) -> DocumentError:
    mark, context, problem = error.problem_mark or error.context_mark, error.context, error.problem or "not YAML"
    if context and error.context_mark:
        problem = f"{context} that begins in line {error.context_mark.line + 1}, {problem}"
    return DocumentError(problem, mark.line + 1 if mark else None)


class _Reader:
    """Builds nodes from events. Recursion is bounded by MAX_DEPTH."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node] = {}

    def read(self, events: Iterator[yaml.Event]) -> Node | None:
        document: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise DocumentError("a second document begins here: one is expected", _line(event))
            elif isinstance(event, yaml.NodeEvent):
                document = self._node(event, events, 0)
        return document

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} levels deep", _line(event))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise DocumentError(f"alias *{event.anchor} has no anchor before it", _line(event))
            return self._anchors[event.anchor]
        node = Node(self._value(event, events, depth), _line(event))
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> str | list[Node] | dict[str, Node]:
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._node(item, events, depth + 1) for item in _until(events, yaml.SequenceEndEvent)]
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return "" if event.implicit[0] and event.value in _NULLS else str(event.value)

    def _mapping(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Node]:
        mapping: dict[str, Node] = {}
        for event in _until(events, yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            if not isinstance(key.value, str):
                raise DocumentError("a key must be text", key.line)
            if key.value in mapping:
                raise DocumentError(f"key {key.value[:80]!r} stands twice in one mapping", _line(event))
            mapping[key.value] = self._node(next(events), events, depth + 1)
        return mapping


def _until(events: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    """Events up to the one that ends the collection. Each is the first of a node, which the caller reads on."""
    for event in events:
        if isinstance(event, end):
            return
        yield event


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # of all events that a parser makes
    return int(event.start_mark.line) + 1

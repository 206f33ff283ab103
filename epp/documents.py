"""Reads one YAML or JSON document into nodes that know where they were written, in bounded time and memory.

Works on PyYAML's event stream, because its composer recurses in C: 100 KB of `[` end the process there. JSON is read
as the YAML that it is. All scalars are text, as they stand in the document: what `8000` or `yes` means is for the
reader's user. Nothing is constructed, so tags are refused, and so are merge keys, keys that are no text or stand twice,
and more than one document. An alias is the node that its anchor named, and counts as a copy of it.

The file of endpoints and the configuration are read with it; neither room can import the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import yaml

__all__ = ["NULLS", "Document", "Fault", "Limits", "Mark", "Node", "read_document"]

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
"""Plain scalars that say nothing."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mark(NamedTuple):
    """A place in the document; both count from 1."""

    line: int
    column: int


_NO_KEYS: Mapping[str, Mark] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may have at most."""

    depth: int
    """Levels of nesting. libyaml takes quadratic time in the depth of brackets."""
    nodes: int
    """Values and keys, aliases expanded: 4 us and 300 bytes each."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with the document."""

    message: str
    mark: Mark | None = None
    """None when the fault has no place."""


class Node(NamedTuple):
    """A value and where it begins. A tuple, because a frozen dataclass takes four times as long to make."""

    value: str | list[Node] | dict[str, Node]
    mark: Mark
    plain: bool = False
    """A scalar that was written without quotes, and may mean something else than its text."""
    keys: Mapping[str, Mark] = _NO_KEYS
    """Where the keys of a mapping were written."""
    size: int = 1
    """Nodes in it, itself included; keys do not count."""

    @property
    def is_null(self) -> bool:
        """Whether nothing was written, or that it is nothing."""
        return self.plain and isinstance(self.value, str) and self.value in NULLS


@dataclass(frozen=True, slots=True)
class Document:
    """What was read."""

    root: Node | None
    """None when there is no document, or it cannot be read: then with faults."""
    faults: tuple[Fault, ...] = ()
    """In the order in which they were found."""


def read_document(data: bytes, limits: Limits) -> Document:
    """The one document in `data`. Does not raise."""
    reader = _Reader(limits)
    try:
        root = reader.read(yaml.parse(data, Loader=_LOADER))
    except _EndError as end:
        fault = end.fault
    except yaml.MarkedYAMLError as error:
        fault = _translated(error, data)
    except (yaml.YAMLError, UnicodeError) as error:
        offset = getattr(error, "position", None)
        fault = Fault(f"not YAML or JSON text: {str(error).splitlines()[0]}", _mark_at(data, offset or 0))
    else:
        return Document(root, tuple(reader.faults))
    return Document(None, (*reader.faults, fault))


def _translated(error: yaml.MarkedYAMLError, data: bytes) -> Fault:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "not YAML"
    if error.context and error.context_mark:
        problem = f"{error.context} that begins in line {error.context_mark.line + 1}, {problem}"
    last = data.count(b"\n") + (not data.endswith(b"\n"))  # a mark at the end of the text is a line further
    place = Mark(min(mark.line + 1, last), mark.column + 1) if mark else None
    return Fault(f"not valid YAML: {problem}", place)


def _mark_at(data: bytes, offset: int) -> Mark:
    before = data[:offset]
    return Mark(before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1)


class _EndError(Exception):
    """Reading ends here, with a fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Reader:
    """Builds nodes from events. Recursion is bounded by the limit of depth."""

    def __init__(self, limits: Limits) -> None:
        self.faults: list[Fault] = []
        self._limits = limits
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def read(self, events: Iterator[yaml.Event]) -> Node | None:
        document: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and document is not None:
                raise _EndError(Fault("a second document begins here: one is expected", _mark(event)))
            if isinstance(event, yaml.NodeEvent):
                document = self._node(event, events, 0)
        return document

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        mark = _mark(event)
        if depth > self._limits.depth:
            raise _EndError(Fault(f"nested more than {self._limits.depth} levels deep", mark))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark)
        self._count(1, mark)
        if isinstance(event, yaml.ScalarEvent) and event.tag is None and event.anchor is None:
            return Node(event.value, mark, event.implicit[0])
        if getattr(event, "tag", None) not in (None, "!"):
            self._fault(f"tag {event.tag!r}: tags have no meaning here, write the value itself", mark)  # type: ignore[attr-defined]
        node = self._value(event, events, mark, depth)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._fault(f"alias *{event.anchor} has no anchor &{event.anchor} before it", mark)
            return Node("", mark, plain=True)
        self._count(node.size, mark)
        return node

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = [self._node(item, events, depth + 1) for item in _until(events, yaml.SequenceEndEvent)]
            return Node(items, mark, size=1 + sum(item.size for item in items))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, mark, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return Node(str(event.value), mark, plain=event.implicit[0])

    def _mapping(self, events: Iterator[yaml.Event], mark: Mark, depth: int) -> Node:
        mapping: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for event in _until(events, yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            name = key.value
            if not isinstance(name, str):
                self._fault("a key must be text", key.mark)
            elif name == "<<":
                self._fault("merge keys have no meaning here: write the keys out, or alias whole values", key.mark)
            elif name in mapping:
                self._fault(f"key {name[:80]!r} stands here again, first in line {keys[name].line}", key.mark)
            else:
                mapping[name], keys[name] = value, key.mark
        return Node(mapping, mark, keys=keys, size=1 + sum(item.size for item in mapping.values()))

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > self._limits.nodes:
            raise _EndError(Fault(f"more than {self._limits.nodes} values, aliases expanded", mark))

    def _fault(self, message: str, mark: Mark) -> None:
        self.faults.append(Fault(message, mark))


def _until(events: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    """Events up to the one that ends the collection. Each is the first of a node, which the caller reads on."""
    for event in events:
        if isinstance(event, end):
            return
        yield event


def _mark(event: yaml.Event) -> Mark:
    assert event.start_mark is not None  # of all events that a parser makes
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)

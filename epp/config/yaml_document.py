"""The configuration file as nodes: what `epp.documents` reads, with plain scalars resolved and places as messages have
them.

Plain scalars are resolved as the Go picker does, with two exceptions that protect from surprise: numbers with leading
zeros (octal in YAML 1.1) and `.inf`, `.nan` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from epp import documents
from epp.config.errors import Findings, Place, Problem
from epp.documents import Limits, Mark

__all__ = ["LIMITS", "MAX_BYTES", "Json", "Node", "Scalar", "read_document", "resolve_scalar"]

MAX_BYTES = 1024 * 1024
"""A configuration with a hundred plugins has 10 KB; a ConfigMap cannot hold more than this."""

LIMITS = Limits(depth=32, nodes=20_000)
"""A file of ours needs seven levels, and parameters of a user's plugin some more. 10,000 endpoints can be named."""

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = Scalar | list["Json"] | dict[str, "Json"]

_NO_KEYS: Mapping[str, Place] = MappingProxyType({})

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(documents.NULLS, None),
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
    document = documents.read_document(data, LIMITS)
    first = Mark(1, 1)
    findings.errors.extend(
        Problem(Place(source, *(fault.mark or first)), "", fault.message) for fault in document.faults
    )
    return _resolved(document.root, source) if document.root else None


def _resolved(node: documents.Node, source: str) -> Node:
    """An alias becomes a copy; how many there may be is bounded."""
    place = Place(source, *node.mark)
    if isinstance(node.value, list):
        return Node([_resolved(item, source) for item in node.value], place)
    if isinstance(node.value, dict):
        fields = {key: _resolved(item, source) for key, item in node.value.items()}
        return Node(fields, place, keys={key: Place(source, *mark) for key, mark in node.keys.items()})
    return Node(resolve_scalar(node.value) if node.plain else node.value, place, text=node.value)

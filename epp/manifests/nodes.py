"""Trees of `epp.documents.Node`: taken apart, and made.

Scalars stay the text that was written, so what goes through unread is what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from epp.documents import Mark, Node

__all__ = ["at", "child", "fields", "integer", "items", "mapping", "number", "scalar", "sequence", "text"]

_NOWHERE = Mark(0, 0)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")


def fields(node: Node | None) -> Mapping[str, Node]:
    """The keys and values of a mapping; nothing when it is none."""
    return node.value if node and isinstance(node.value, dict) else {}


def items(node: Node | None) -> Sequence[Node]:
    """The items of a list; nothing when it is none."""
    return node.value if node and isinstance(node.value, list) else ()


def child(node: Node | None, key: str) -> Node | None:
    """The value of a key; None when it is absent or has nothing after it."""
    found = fields(node).get(key)
    return None if found is None or found.is_null else found


def at(node: Node | None, *keys: str) -> str:
    """The scalar at the end of a path of keys; empty when there is none."""
    for key in keys:
        node = child(node, key)
    return scalar(node) or ""


def scalar(node: Node | None) -> str | None:
    """The text of a scalar, quoted or not; None for all else."""
    return node.value if node and isinstance(node.value, str) and not node.is_null else None


def integer(node: Node | None, low: int, high: int) -> int | None:
    """A whole number in the range, written without quotes; None for all else."""
    written = scalar(node) if node and node.plain else None
    if written is None or not _INTEGER.fullmatch(written):
        return None
    return int(written) if low <= int(written) <= high else None


def text(value: str) -> Node:
    """A scalar that is text, whatever it looks like."""
    return Node(value, _NOWHERE)


def number(value: int) -> Node:
    """A scalar that is a number."""
    return Node(str(value), _NOWHERE, plain=True)


def mapping(values: Mapping[str, Node | None]) -> Node:
    """A mapping in this order, without the keys whose value is None."""
    return Node({key: value for key, value in values.items() if value is not None}, _NOWHERE)


def sequence(values: Sequence[Node]) -> Node:
    """A list."""
    return Node(list(values), _NOWHERE)

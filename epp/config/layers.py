"""Lays what several sources say about the `epp:` section over one another: flag > `epp:` > plugin parameters >
environment > default.

A layer is a node in the section's shape, whatever it was made from, so each value keeps the place where it was written,
through to the effective configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from epp.config.errors import Findings, Place, Problem
from epp.config.validation import found_text, key_of
from epp.config.yaml_document import Json, Node

__all__ = ["NOWHERE", "layer", "leaf", "leaves", "overlay"]

NOWHERE = Place("")

Path = tuple[str, ...]


def leaf(value: Json, place: Place) -> Node:
    """A node of a value that stands at one place as a whole."""
    if isinstance(value, list):
        return Node([leaf(item, place) for item in value], place)
    if isinstance(value, dict):
        fields = {key: leaf(item, place) for key, item in value.items()}
        return Node(fields, place, keys=dict.fromkeys(fields, place))
    return Node(value, place, text="" if value is None else str(value))


def layer(values: Iterable[tuple[Path, Node]]) -> Node:
    """A node in the section's shape from single values. Of two values for one path the later counts."""
    root = Node({}, NOWHERE)
    for path, value in values:
        root = _with(root, path, value)
    return root


def _with(node: Node, path: Path, value: Node) -> Node:
    if not path:
        return value
    fields = dict(node.value) if isinstance(node.value, dict) else {}
    below = fields.get(path[0], Node({}, value.place))
    fields[path[0]] = _with(below, path[1:], value)
    place = value.place if node.place == NOWHERE else node.place
    return replace(node, value=fields, place=place, keys={**node.keys, path[0]: value.place})


def overlay(low: Node, high: Node, findings: Findings | None, key: str = "epp") -> Node:
    """Both layers in one; `high` counts where both speak. With `findings`, a value that loses is a warning."""
    if not (isinstance(low.value, dict) and isinstance(high.value, dict)):
        if isinstance(high.value, dict):
            return low  # no mapping where one must be: the check of the whole says so
        if findings and low.value is not None and low.plain() != high.plain():
            message = f"{found_text(low)} has no effect: {high.place} says {found_text(high)}"
            findings.warnings.append(Problem(low.place, key, message))
        return high
    merged = dict(low.value)
    for name, value in high.value.items():
        before = merged.get(name)
        if value.value is not None:
            taken = before and before.value is not None
            merged[name] = overlay(before, value, findings, key_of(key, name)) if before and taken else value
        else:
            merged.setdefault(name, value)
    place = low.place if low.place != NOWHERE else high.place
    return Node(merged, place, keys={**high.keys, **low.keys} if place.line else {**low.keys, **high.keys})


def leaves(node: Node, above: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every value that is no mapping, with its path."""
    if isinstance(node.value, dict):
        for name, value in node.value.items():
            yield from leaves(value, (*above, name))
    else:
        yield above, node

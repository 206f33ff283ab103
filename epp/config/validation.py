"""Checks a node against a model, and says of every fault where it is, what was found and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from epp.config.errors import Findings, Place, Problem, meant
from epp.config.yaml_document import Node
from epp.telemetry.logs import is_secret

__all__ = ["MAX_FAULTS", "Step", "find", "found_text", "key_of", "validate"]

MAX_FAULTS = 200
"""Faults of one node that are told: a file with more of them is of another kind altogether."""

M = TypeVar("M", bound=BaseModel)
Step = int | str

_PHRASES: Mapping[str, str] = {
    "Input should be": "must be",
    "a valid string": "text",
    "an object": "a mapping",
    "a valid dictionary": "a mapping",
    "a valid array": "a list",
    "a valid tuple": "a list",
    "a valid list": "a list",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "String should have at least 1 character": "must not be empty",
}
_PHRASE = re.compile("|".join(map(re.escape, _PHRASES)))
_QUOTED = re.compile(r"'([^']*)'")


def validate(model: type[M], node: Node, key: str, findings: Findings) -> M | None:
    """The model of a node; None when there are faults, which go to `findings`. `key` is the path of the node.

    The node is taken as JSON: strict about types, and lists are what becomes a tuple.
    """
    empty = (steps for steps in _empty_keys(node) if not _is_known(model, steps))
    unknown = [_unknown(model, node, key, steps) for steps in islice(empty, MAX_FAULTS)]
    findings.errors.extend(unknown)
    try:
        value = model.model_validate_json(json.dumps(node.plain()), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        findings.errors.extend(_problem(details, model, node, key) for details in faults[:MAX_FAULTS])
        return None
    return None if unknown else value


def key_of(key: str, step: Step) -> str:
    """The path of something one step below `key`: `plugins[2]`, `plugins[2].type`."""
    if isinstance(step, int):
        return f"{key}[{step}]"
    return f"{key}.{step}" if key else step


def found_text(node: Node) -> str:
    """A value for a sentence: `'abc'`, `8000`, `a list`."""
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return repr(node.value[:80])
    return node.text[:80] or repr(node.value)


def _problem(details: ErrorDetails, model: type[BaseModel], root: Node, key: str) -> Problem:
    place, node, steps = find(root, details["loc"])
    if details["type"] == "extra_forbidden":
        return _unknown(model, root, key, steps)
    path = reduce(key_of, steps, key)
    if details["type"] == "missing":
        return Problem(place, path, f"key {str(details['loc'][-1])!r} is missing")
    return Problem(place, path, _message(details, _shown(node, steps)))


def _unknown(model: type[BaseModel], root: Node, key: str, steps: Sequence[Step]) -> Problem:
    _, parent, _ = find(root, steps[:-1])
    place = parent.keys.get(str(steps[-1]), parent.place)
    known = _keys_at(model, steps[:-1])
    message = f"unknown key {str(steps[-1])[:80]!r}{meant(str(steps[-1]), known) or '; none is allowed here'}"
    return Problem(place, reduce(key_of, steps[:-1], key), message)


def find(root: Node, loc: Sequence[Step]) -> tuple[Place, Node, list[Step]]:
    """Follows a location as far as the node has it: pydantic's locations hold steps of its own, too.

    The place is that of a scalar, or of the key under which a mapping or list stands.
    """
    node, place = root, root.place
    steps: list[Step] = []
    for step in loc:
        if isinstance(node.value, dict) and step in node.value:
            place = node.keys.get(str(step), node.place)
            node = node.value[str(step)]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            place = node.place
        else:
            continue
        steps.append(step)
    scalar = not isinstance(node.value, dict | list) and node.value is not None
    return (node.place if scalar else place), node, steps


def _empty_keys(node: Node, above: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Paths of keys with nothing after them."""
    below: Iterable[tuple[Step, Node]] = node.value.items() if isinstance(node.value, dict) else enumerate(node.items())
    for step, child in below:
        if child.value is None and isinstance(step, str):
            yield (*above, step)
        else:
            yield from _empty_keys(child, (*above, step))


def _shown(node: Node, steps: Sequence[Step]) -> Node:
    """The node, or another one in its place when messages must not repeat it."""
    return Node("(hidden)", node.place) if steps and is_secret(str(steps[-1])) else node


def _message(details: ErrorDetails, node: Node) -> str:
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        message = str(context.get("error", ""))
    elif details["type"] in ("too_short", "too_long"):
        least = details["type"] == "too_short"
        message = (
            f"must have at {'least' if least else 'most'} {context['min_length' if least else 'max_length']} items"
        )
    else:
        message = _PHRASE.sub(lambda match: _PHRASES[match[0]], details["msg"])
    about_parts = details["type"] == "value_error" and isinstance(node.value, dict | list)
    if message.startswith("must") and "found" not in message and not about_parts:
        message += f", found {found_text(node)}"
    if details["type"] in ("literal_error", "enum") and isinstance(node.value, str):
        message += meant(node.value, _QUOTED.findall(context.get("expected", ""))).split("; known")[0]
    if details["type"] == "string_type" and isinstance(node.value, int | float | bool):
        message += f'; in quotes it is text: "{node.text}"'
    return message


def _keys_at(model: type[BaseModel], steps: Sequence[Step]) -> list[str]:
    """Keys that a model knows at a place within it."""
    annotations: list[Any] = [model]
    for step in steps:
        annotations = [inner for annotation in annotations for inner in _below(annotation, step)]
    models = [part for annotation in annotations for part in _parts(annotation) if _is_model(part)]
    return [field.alias or name for part in models for name, field in part.model_fields.items()]


def _is_known(model: type[BaseModel], steps: Sequence[Step]) -> bool:
    known = _keys_at(model, steps[:-1])
    return not known or steps[-1] in known


def _below(annotation: Any, step: Step) -> Iterator[Any]:
    for part in _parts(annotation):
        if _is_model(part):
            yield from (field.annotation for field in part.model_fields.values() if field.alias == step)
        elif isinstance(origin := get_origin(part), type):
            yield get_args(part)[1 if issubclass(origin, Mapping) else 0]


def _parts(annotation: Any) -> Iterator[Any]:
    """A type without annotations, the members of a union one by one."""
    if get_origin(annotation) is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _parts(member)
    else:
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

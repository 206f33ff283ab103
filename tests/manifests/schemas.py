"""Says what an API server would refuse or drop in a pool, an objective or a rewrite.

Its schemas are the published ones; the two rules in CEL, which have no validator here, are written out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["DATA", "faults"]

DATA = Path(__file__).parents[1] / "data" / "manifests"

_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int}

_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, words: value in words,
    "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    "minimum": lambda value, low: value >= low,
    "maximum": lambda value, high: value <= high,
    "minLength": lambda value, low: len(value) >= low,
    "maxLength": lambda value, high: len(value) <= high,
    "minItems": lambda value, low: len(value) >= low,
    "maxItems": lambda value, high: len(value) <= high,
    "minProperties": lambda value, low: len(value) >= low,
    "maxProperties": lambda value, high: len(value) <= high,
    "format": lambda value, name: name != "int32" or -(2**31) <= value < 2**31,
}


@cache
def _schemas() -> dict[tuple[str, str], Any]:
    read = [yaml.safe_load(file.read_text("utf-8")) for file in sorted(DATA.glob("inference*.yaml"))]
    return {(f"{one['group']}/{one['version']}", one["kind"]): one["schema"] for one in read}


def faults(resource: Any) -> list[str]:
    """What is wrong with a resource of a known kind."""
    found = list(_faults(resource, _schemas()[resource["apiVersion"], resource["kind"]], ""))
    spec = resource.get("spec", {})
    ports = [port.get("number") for port in spec.get("targetPorts", ())]
    picker = spec.get("endpointPickerRef", {"port": {}})
    if len(set(ports)) < len(ports):
        found.append("spec.targetPorts: not unique")
    if picker.get("kind", "Service") == "Service" and "port" not in picker:
        found.append("spec.endpointPickerRef: a Service without port")
    return found


def _faults(value: Any, schema: Any, path: str) -> Iterator[str]:
    if not isinstance(value, _TYPES[schema["type"]]) or isinstance(value, bool):
        yield f"{path}: no {schema['type']}"
        return
    for bound, holds in _BOUNDS.items():
        if bound in schema and not holds(value, schema[bound]):
            yield f"{path}: {bound} {schema[bound]}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], f"{path}[{index}]")
    elif isinstance(value, dict) and (known := schema.get("properties") or schema.get("additionalProperties")):
        yield from (f"{path}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, inner in value.items():
            below = known.get(key) if "properties" in schema else known
            if below is None:
                yield f"{path}.{key}: unknown"
            else:
                yield from _faults(inner, below, f"{path}.{key}")

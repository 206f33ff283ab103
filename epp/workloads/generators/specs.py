"""Generators by name, and the short form in which people ask for them.

chat
chat:tenants=50,rate_per_s=4
rag:order=relevance,rate=2          a name may be cut short where only one begins like it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from epp.workloads.errors import WorkloadError
from epp.workloads.generators.agents import Agents
from epp.workloads.generators.chat import Chat
from epp.workloads.generators.mix import Mix
from epp.workloads.generators.parameters import Parameters
from epp.workloads.generators.rag import Rag
from epp.workloads.generators.single_calls import (
    Bursts,
    Diurnal,
    Embeddings,
    Independent,
    LoraFleet,
    Outliers,
    SharedPrompt,
    Tenants,
)
from epp.workloads.types import Workload

__all__ = ["GENERATORS", "generate", "generated", "parse_spec"]

GENERATORS: Mapping[str, type[Parameters]] = MappingProxyType(
    {
        "independent": Independent,
        "shared-prompt": SharedPrompt,
        "tenants": Tenants,
        "chat": Chat,
        "rag": Rag,
        "agents": Agents,
        "lora": LoraFleet,
        "bursts": Bursts,
        "diurnal": Diurnal,
        "outliers": Outliers,
        "embeddings": Embeddings,
        "mix": Mix,
    }
)
"""All that are built in."""

_BOOLS = {"true": True, "false": False}


def generate(params: Parameters, rng: Generator) -> Workload:
    """The workload of these parameters. Raises WorkloadError for parameters that contradict one another."""
    return params.generate(rng)


def generated(spec: str, seed: int) -> Workload:
    """The workload that a spec asks for, named by the spec. Raises WorkloadError."""
    return replace(generate(parse_spec(spec), np.random.default_rng(seed)), name=spec)


def parse_spec(spec: str) -> Parameters:
    """The parameters that a spec names. Raises WorkloadError for an unknown name or a value that cannot be."""
    name, _, settings = spec.partition(":")
    kind = GENERATORS.get(name)
    if kind is None:
        raise WorkloadError(f"there is no workload generator {name!r}; there are: {', '.join(GENERATORS)}")
    defaults = {field.name: field.default for field in fields(kind)}
    values: dict[str, object] = {}
    for setting in filter(None, settings.split(",")):
        key, _, text = setting.partition("=")
        field = _field(name, key.strip(), defaults)
        if field in values:
            raise WorkloadError(f"{field} is set twice in {spec!r}")
        values[field] = _value(field, text.strip(), defaults[field])
    return kind(**values)  # type: ignore[arg-type]


def _field(name: str, key: str, defaults: Mapping[str, object]) -> str:
    found = [key] if key in defaults else [field for field in defaults if key and field.startswith(key)]
    if len(found) != 1:
        there = ", ".join(found or defaults)
        raise WorkloadError(f"{name} has {'several parameters' if found else 'no parameter'} {key!r}: {there}")
    return found[0]


def _value(field: str, text: str, default: object) -> object:
    """The value as the type of the parameter's default."""
    try:
        match default:
            case bool():
                return _BOOLS[text]
            case int():
                return int(text)
            case Enum():
                return type(default)(text)
            case _:
                return float(text)
    except (ValueError, KeyError) as error:
        raise WorkloadError(f"{field} is {text!r}; it must be {_wanted(default)}") from error


def _wanted(default: object) -> str:
    match default:
        case bool():
            return " or ".join(_BOOLS)
        case int():
            return "a whole number"
        case Enum():
            return "one of: " + ", ".join(str(item.value) for item in type(default))
        case _:
            return "a number"

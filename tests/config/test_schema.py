from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
import yaml

from epp.config.schema import config_schema, parameters_schema, schema_text
from epp.config.sections import EppSection
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = files("epp.config").joinpath("schema.json").read_text("utf-8")
    assert shipped == schema_text(), "run: python -m epp.config.schema > epp/config/schema.json"


def test_every_key_under_epp_is_described() -> None:
    definitions = config_schema()["$defs"]
    for name in _reachable(definitions, "EppSection"):
        for key, described in definitions[name].get("properties", {}).items():
            inner = described.get("$ref", "").rpartition("/")[2]
            assert described.get("description") or definitions[inner]["description"], f"{name}.{key}"
            assert (
                inner or "default" in described or key in definitions[name].get("required", ()) or _is_open(described)
            )


def _is_open(described: dict[str, Any]) -> bool:
    """Without a default of its own: a map, or what stays as a preset has it."""
    return described.get("type") == "object" or {"type": "null"} in described.get("anyOf", ())


def _reachable(definitions: dict[str, Any], name: str) -> set[str]:
    inner = {part.split('"')[0] for part in json.dumps(definitions[name]).split("#/$defs/")[1:]}
    return {name}.union(*(_reachable(definitions, each) for each in inner))


def test_every_type_of_plugin_is_offered() -> None:
    plugin = config_schema()["$defs"]["PluginEntry"]
    assert set(plugin["properties"]["type"]["examples"]) == {*BUILT_IN, *BUILT_IN_ROLES, *ABSENT}
    assert len(plugin["allOf"]) == len(BUILT_IN) + len(BUILT_IN_ROLES)


@pytest.mark.parametrize("type_", sorted((*BUILT_IN, *BUILT_IN_ROLES)))
def test_parameters_are_closed_and_stand_alone(type_: str) -> None:
    schema = parameters_schema(type_)
    assert "$ref" not in json.dumps(schema)
    assert schema.get("additionalProperties") is False


def _undescribed(schema: dict[str, Any], path: str) -> list[str]:
    """Keys without a description, at any depth."""
    found = []
    for key, described in schema.get("properties", {}).items():
        found += [] if "description" in described else [f"{path}.{key}"]
        for below in (described, described.get("items"), *described.get("anyOf", ())):
            found += _undescribed(below, f"{path}.{key}") if isinstance(below, dict) else []
    return found


@pytest.mark.parametrize("type_", sorted((*BUILT_IN, *BUILT_IN_ROLES)))
def test_every_parameter_is_described(type_: str) -> None:
    assert _undescribed(parameters_schema(type_), type_) == []


def test_parameters_have_defaults_and_descriptions() -> None:
    described = parameters_schema("no-hit-lru-scorer")["properties"]["lruSize"]
    assert described == {"type": "integer", "default": 1024, "description": "Endpoints that are remembered."}


@pytest.mark.parametrize("name", EppSection.model_fields)
def test_examples_of_sections_have_their_key_only(name: str) -> None:
    section = EppSection.model_fields[name].annotation
    assert list(yaml.safe_load(section.example)) == [name]  # type: ignore[union-attr]

"""The JSON schema of the configuration file, made from the models and the constructors of built-in plugins.

`python -m epp.config.schema > epp/config/schema.json` writes the file that is shipped for editors.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from epp.config.fields import Model
from epp.config.file_model import EndpointPickerConfig
from epp.config.parameters import defaults_of, parameter_keys, parameters_model, plain_of
from epp.config.units import format_duration, format_size
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES, load_class

__all__ = ["config_schema", "parameters_schema", "schema_text"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


class _Untitled(GenerateJsonSchema):
    """Leaves out titles, which only repeat the key."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:  # noqa: ARG002 - pydantic calls it so
        return False


def config_schema() -> Schema:
    """The schema of the whole file. Editors show its descriptions; the reference is made from it."""
    schema = EndpointPickerConfig.model_json_schema(schema_generator=_Untitled)
    models = {model.__name__: model for model in _models(Model)}
    for name, definition in (("EndpointPickerConfig", schema), *schema["$defs"].items()):
        definition.pop("title", None)
        descriptions = _field_docs(models[name]) if name in models else {}
        for field, described in definition.get("properties", {}).items():
            _tidy_default(described)
            if field in descriptions:
                described["description"] = descriptions[field]
    plugin = schema["$defs"]["PluginEntry"]
    types = sorted((*BUILT_IN, *BUILT_IN_ROLES, *ABSENT))
    plugin["properties"]["type"]["examples"] = types
    plugin["allOf"] = [_condition(type_) for type_ in types if type_ not in ABSENT]
    return {"$schema": DIALECT, "title": "EndpointPickerConfig", **schema}


_WRITTEN: Mapping[str, Callable[[Any], str]] = {"duration": format_duration, "size": format_size}


def _tidy_default(described: Schema) -> None:
    """Defaults as people write them; those of mappings are their keys' own."""
    default = described.get("default")
    if default is None or isinstance(default, dict):
        described.pop("default", None)
    elif "x-unit" in described:
        described["default"] = _WRITTEN[described["x-unit"]](default)


def _models(model: type[Model]) -> Iterator[type[Model]]:
    for below in model.__subclasses__():
        yield below
        yield from _models(below)


def _condition(type_: str) -> Schema:
    """What holds of the parameters of one type."""
    given: Schema = {"properties": {"type": {"const": type_}}, "required": ["type"]}
    return {"if": given, "then": {"properties": {"parameters": parameters_schema(type_)}}}


def parameters_schema(type_: str) -> Schema:
    """The schema of the parameters of a built-in type or role."""
    cls = load_class(BUILT_IN[type_].path if type_ in BUILT_IN else BUILT_IN_ROLES[type_].parameters)
    schema = parameters_model(cls).model_json_schema(schema_generator=_Untitled)
    schema.pop("title", None)
    defaults, keys, descriptions = defaults_of(cls), parameter_keys(cls), _field_docs(cls)
    for name, key in keys.items():
        described = schema["properties"][key]
        described.pop("default", None)
        default = plain_of(defaults.get(name))
        if default is not None and not isinstance(default, dict):
            described["default"] = default
        if key in descriptions:
            described["description"] = descriptions[key]
    nested = {parameters_model(part).__name__: part for part in _parts(cls)}
    for name, definition in schema.get("$defs", {}).items():
        definition.pop("title", None)
        for key, text in _field_docs(nested[name]).items():
            if key in definition["properties"]:
                definition["properties"][key].setdefault("description", text)
    inlined: Schema = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _parts(cls: type) -> Iterator[type]:
    """The dataclasses that parameters of a class are made of, at any depth."""
    for parameter in inspect.signature(cls, eval_str=True).parameters.values():
        for part in (parameter.annotation, *get_args(parameter.annotation)):
            if isinstance(part, type) and is_dataclass(part):
                yield part
                yield from _parts(part)


def _inlined(schema: Any, definitions: Schema) -> Any:
    """The schema without references, so that it can stand within another one."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        return {**_inlined(named, definitions), **{key: value for key, value in schema.items() if key != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _field_docs(cls: type) -> dict[str, str]:
    """The docstrings that stand under the fields of a class and of those that it builds on, by key.

    Read from the source when the schema is made: to have them at run time costs every start 150 ms.
    """
    found: dict[str, str] = {}
    for base in (base for base in reversed(cls.__mro__) if base.__module__.startswith("epp.")):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = " ".join(text.split())
                case ast.AnnAssign(target=ast.Name(id=name)), _:
                    found.pop(name, None)
    keys = _keys_of_fields(cls)
    return {keys.get(name, name): text for name, text in found.items()}


def _keys_of_fields(cls: type) -> dict[str, str]:
    if issubclass(cls, Model):
        return {name: field.alias or name for name, field in cls.model_fields.items()}
    return parameter_keys(cls)


def schema_text() -> str:
    """The schema as it is shipped."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())

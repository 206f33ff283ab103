"""Checks a plugin's parameters against the constructor of its class.

A constructor's argument `max_num_of_endpoints: int = 1` is the parameter `maxNumOfEndpoints`, a whole number. Arguments
that are dataclasses are mappings, checked likewise. Nothing is constructed here but such mappings.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, PydanticUserError, create_model
from pydantic.alias_generators import to_camel

from epp.config.yaml_document import Json
from epp.scheduling.plugins.validation import key_of
from epp.telemetry.logs import is_secret

__all__ = [
    "HIDDEN",
    "arguments_of",
    "defaults_of",
    "parameter_keys",
    "parameters_model",
    "plain_defaults_of",
    "plain_of",
]

HIDDEN = "(hidden)"
"""Stands for what could be a secret."""

_PREFIX = "p_"
"""Fields are named with it, so that a parameter called `json` or `copy` hides nothing of the model."""


_UNNAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters_model(cls: type, *, snake_case: bool = False) -> type[BaseModel]:
    """The model of a class's parameters. Raises ValueError when its constructor cannot be read or filled by name.

    `snake_case`: names are taken as in Python, too.
    """
    signature = _signature(cls)
    keys = parameter_keys(cls)
    fields: dict[str, Any] = {}
    open_ended = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            raise ValueError(f"its constructor takes {name!r} by position only: parameters are given by name")
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            alias = keys[name]
            choices = AliasChoices(alias, name) if snake_case else alias
            default = ... if parameter.default is parameter.empty else None
            fields[_PREFIX + name] = (
                _typed(parameter.annotation),
                Field(default, alias=alias, validation_alias=choices),
            )
    config = ConfigDict(extra="allow" if open_ended else "forbid", arbitrary_types_allowed=True, frozen=True)
    try:
        return create_model(f"{cls.__name__}Parameters", __config__=config, **fields)
    except (PydanticUserError, NameError) as error:
        raise ValueError(f"its constructor has a type that cannot be checked: {str(error).splitlines()[0]}") from None


def parameter_keys(cls: type) -> dict[str, str]:
    """Keys in files by the constructor's argument. A dataclass may say that a key is spelled otherwise than its name.
    Raises ValueError when the constructor cannot be read.
    """
    spelled = {field.name: key_of(field) for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    named = (parameter for parameter in _signature(cls).parameters.values() if parameter.kind not in _UNNAMED)
    return {parameter.name: spelled.get(parameter.name) or to_camel(parameter.name) for parameter in named}


def defaults_of(cls: type) -> dict[str, object]:
    """The constructor's defaults by argument, as far as it has some."""
    made = {}
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if field.default_factory is not dataclasses.MISSING:
            made[field.name] = field.default_factory()
    parameters = _signature(cls).parameters.values()
    return {each.name: made.get(each.name, each.default) for each in parameters if each.default is not each.empty}


def plain_defaults_of(cls: type) -> dict[str, object]:
    """Those defaults that are numbers, switches or text. Runs no code of the class."""
    parameters = _signature(cls).parameters.values()
    return {each.name: each.default for each in parameters if isinstance(each.default, bool | int | float | str)}


def arguments_of(parameters: BaseModel) -> dict[str, object]:
    """The constructor's arguments, as far as parameters were given."""
    given = {
        name.removeprefix(_PREFIX): getattr(parameters, name)
        for name in type(parameters).model_fields
        if name in parameters.model_fields_set
    }
    return given | (parameters.model_extra or {})


def _signature(cls: type) -> inspect.Signature:
    """The constructor's signature. Where a name in its types cannot be resolved, they stay text."""
    try:
        return inspect.signature(cls, eval_str=True)
    except (NameError, AttributeError, SyntaxError):
        return inspect.signature(cls)
    except (TypeError, ValueError):
        raise ValueError("its constructor cannot be inspected: write it in Python") from None


def _typed(annotation: Any) -> Any:
    """The type with each dataclass in it replaced by its parameters' model, which makes the dataclass."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return Any
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return Annotated[parameters_model(annotation), AfterValidator(partial(_made, annotation))]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments or origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(_typed(arguments[0]), *arguments[1:])]
    inner = tuple(argument if argument is ... else _typed(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return Union[inner]  # noqa: UP007 - made from a tuple
    try:
        return origin[inner]
    except TypeError:
        return annotation


def _made(cls: type, parameters: BaseModel) -> object:
    return cls(**arguments_of(parameters))


def plain_of(value: object) -> Json:
    """A value as it would be written in a file, secrets left out."""
    if isinstance(value, Enum):
        return plain_of(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        keys = parameter_keys(type(value))
        fields = ((keys[name], plain_of(getattr(value, name))) for name in keys)
        return {key: HIDDEN if is_secret(key) else plain for key, plain in fields if plain is not None}
    if isinstance(value, Mapping):
        return {str(key): HIDDEN if is_secret(str(key)) else plain_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_of(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value) if isinstance(value, PurePath) else repr(value)

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

from epp.config.errors import Findings
from epp.config.parameters import HIDDEN, arguments_of, defaults_of, parameter_keys, parameters_model, plain_of
from epp.config.validation import validate
from epp.config.yaml_document import read_document
from epp.scheduling.plugins.validation import named


class Mode(Enum):
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Limit:
    max_value: float | None = None

    def __post_init__(self) -> None:
        if self.max_value is not None and self.max_value < 0:
            raise ValueError(f"maxValue is {self.max_value}; it must be at least 0")


@dataclass(slots=True)
class Plugin:
    threshold: int = 5
    share: float = 0.5
    json: str = "shadows nothing"
    mode: Mode = Mode.FAST
    source: Literal["a", "b"] = "a"
    one: Limit | None = None
    many: tuple[Limit, ...] = ()
    by_name: Mapping[str, Limit] = field(default_factory=dict)
    spelled: int = field(default=1, metadata=named("spelledOTHERWISE"))
    _state: OrderedDict[str, Any] = field(init=False, default_factory=OrderedDict)


class Plain:
    def __init__(self, must: int, *, model_name: str = "m", untyped=3, call: Callable[[], int] | None = None, **more):  # type: ignore[no-untyped-def]
        self.given = (must, model_name, untyped, call, more)


class PositionalOnly:
    def __init__(self, a: int, /) -> None: ...


class Unresolvable:
    def __init__(self, a: "Nowhere" = None) -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


def check(cls: type, text: str, *, snake_case: bool = False) -> tuple[dict[str, object], list[str]]:
    findings = Findings()
    node = read_document(text.encode(), "f", findings)
    assert node is not None
    parameters = validate(parameters_model(cls, snake_case=snake_case), node, "p", findings)
    return arguments_of(parameters) if parameters else {}, [str(error) for error in findings.errors]


GOOD: dict[str, dict[str, object]] = {
    "{}": {},
    "{threshold: 3, share: 1}": {"threshold": 3, "share": 1.0},
    "{json: x, mode: fast, source: b}": {"json": "x", "mode": Mode.FAST, "source": "b"},
    "{one: {maxValue: 2}, many: [{}, {maxValue: 1}]}": {"one": Limit(2.0), "many": (Limit(), Limit(1.0))},
    "{byName: {x: {maxValue: 3}}}": {"by_name": {"x": Limit(3.0)}},
    "{spelledOTHERWISE: 2}": {"spelled": 2},
    "{threshold: }": {},
}


@pytest.mark.parametrize("text", GOOD)
def test_parameters_become_arguments(text: str) -> None:
    arguments, errors = check(Plugin, text)
    assert errors == []
    assert arguments == GOOD[text]
    Plugin(**arguments)  # type: ignore[arg-type]


BAD = {
    "{threshold: '3'}": "f:1:13: p.threshold: must be a whole number, found '3'",
    "{threshold: 3.5}": "f:1:13: p.threshold: must be a whole number",
    "{treshold: 3}": "f:1:2: p: unknown key 'treshold'; did you mean 'threshold'?",
    "{treshold: }": "f:1:2: p: unknown key 'treshold'; did you mean 'threshold'?",
    "{json: 8}": 'f:1:8: p.json: must be text, found 8; in quotes it is text: "8"',
    "{source: c}": "f:1:10: p.source: must be 'a' or 'b', found 'c'",
    "{many: {}}": "f:1:2: p.many: must be a list, found a mapping",
    "{one: {maxValue: -1}}": "f:1:2: p.one: maxValue is -1.0; it must be at least 0",
    "{byName: {x: {maxvalue: 3}}}": "f:1:15: p.byName.x: unknown key 'maxvalue'; did you mean 'maxValue'?",
    "{_state: {}}": "f:1:2: p: unknown key '_state'",
    "{spelled: 2}": "f:1:2: p: unknown key 'spelled'; did you mean 'spelledOTHERWISE'?",
    "{max_value: 2}": "f:1:2: p: unknown key 'max_value'",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_parameter_is_told_with_its_place(text: str) -> None:
    _, errors = check(Plugin, text)
    assert len(errors) == 1
    assert errors[0].startswith(BAD[text])


def test_any_constructor_is_a_source_of_parameters() -> None:
    assert check(Plain, "{must: 1, modelName: x, untyped: [a], other: 2}") == (
        {"must": 1, "model_name": "x", "untyped": ["a"], "other": 2},
        [],
    )
    assert check(Plain, "{must: 1, model_name: x}", snake_case=True) == ({"must": 1, "model_name": "x"}, [])
    assert check(Plain, "{}")[1] == ["f:1:1: p: key 'must' is missing"]
    assert check(Plain, "{must: 1, call: 3}")[1] == ["f:1:17: p.call: must be callable, found 3"]


def test_constructors_that_cannot_be_filled_by_name_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 'a' by position only"):
        parameters_model(PositionalOnly)


def test_types_that_cannot_be_resolved_are_not_checked() -> None:
    assert check(Unresolvable, "{a: [1]}") == ({"a": [1]}, [])


def test_defaults_and_keys() -> None:
    assert defaults_of(Plugin)["many"] == ()
    assert defaults_of(Plugin)["by_name"] == {}
    assert defaults_of(Plain) == {"model_name": "m", "untyped": 3, "call": None}
    assert parameter_keys(Plugin)["spelled"] == "spelledOTHERWISE"
    assert "_state" not in parameter_keys(Plugin)
    assert parameter_keys(Plain) == {"must": "must", "model_name": "modelName", "untyped": "untyped", "call": "call"}


def test_values_are_written_as_in_a_file_without_secrets() -> None:
    value = {"a": (Limit(1.0), Mode.FAST, Path("x")), "apiKey": "sk", "nested": {"password": "p", "tokens": 3}}
    assert plain_of(value) == {
        "a": [{"maxValue": 1.0}, "fast", "x"],
        "apiKey": HIDDEN,
        "nested": {"password": HIDDEN, "tokens": 3},
    }


def test_messages_do_not_repeat_what_could_be_a_secret() -> None:
    class Secretive:
        def __init__(self, api_key: int) -> None: ...

    assert check(Secretive, "{apiKey: sk-123}")[1] == ["f:1:10: p.apiKey: must be a whole number, found '(hidden)'"]

"""Prints the configuration in effect as a file: defaults filled in, secrets left out, and where each value comes from.

What is printed can be read again and means the same, but for hidden values.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import yaml

from epp.config.errors import Place
from epp.config.load import Loaded
from epp.config.parameters import HIDDEN, parameter_keys, plain_of
from epp.config.plugins import PluginSpec
from epp.config.profiles import ProfileSpec
from epp.config.yaml_document import Json, Node, resolve_scalar
from epp.telemetry.logs import is_secret

__all__ = ["effective_text"]

DEFAULT = "default"

_PLAIN = re.compile(r"[A-Za-z0-9_/(][A-Za-z0-9_./@%+()-]*(?::[A-Za-z0-9_./@-]+)*")


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file; where its value comes from stands behind it."""

    text: str
    origin: str = ""


def effective_text(loaded: Loaded) -> str:
    """The configuration in effect, in YAML."""
    lines = [*_header(loaded), _Line("apiVersion: llm-d.ai/v1alpha1"), _Line("kind: EndpointPickerConfig")]
    entries = _entries(loaded)
    lines += [_Line("plugins:"), *(line for spec, node in entries for line in _plugin(spec, node))]
    lines += _profile(loaded.written.profile)
    lines += [_Line("epp:"), *_section(loaded)]
    return "".join(f"{line.text}  # {_printable(line.origin)}\n" if line.origin else f"{line.text}\n" for line in lines)


def _header(loaded: Loaded) -> Iterator[_Line]:
    lists = (("Warnings:", loaded.warnings), ("Waiting for a restart:", loaded.waiting), ("Notes:", loaded.notes))
    for title, problems in lists:
        if problems:
            yield _Line(f"# {title}")
        yield from (_Line(f"# - {_printable(str(problem))}") for problem in problems)


def _printable(text: str) -> str:
    """Text that stays within its comment."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _entries(loaded: Loaded) -> list[tuple[PluginSpec, Node | None]]:
    """The plugins in use, with their parameters as they were written."""
    nodes = {entry.value.label: entry.node for entry in loaded.written.file.plugins}
    once = {plugin.name: plugin for plugin in loaded.written.profile.plugins()}
    return [(plugin, nodes.get(plugin.name)) for plugin in once.values()]


def _plugin(spec: PluginSpec, node: Node | None) -> Iterator[_Line]:
    yield _Line(f"- name: {_scalar(spec.name)}", _origin(node.place if node else None))
    yield _Line(f"  type: {_scalar(spec.type_name)}")
    given = node.child("parameters") if node else None
    values = dict(_parameters(spec))
    if values:
        yield _Line("  parameters:")
    for key, value in values.items():
        written = given.keys.get(key) if given else None
        yield from _value(key, HIDDEN if is_secret(key) else value, 4, _origin(written))


def _parameters(spec: PluginSpec) -> Iterator[tuple[str, Json]]:
    """Every parameter by its key. One whose default is None, and that was not given, is left out."""
    keys = parameter_keys(spec.factory)
    for name, argument in spec.arguments.items():
        value = plain_of(argument)
        if value is not None:
            yield keys.get(name, name), value


def _profile(profile: ProfileSpec) -> Iterator[_Line]:
    weights = {use.plugin.name: use.weight for use in profile.scorers}
    yield _Line("schedulingProfiles:")
    yield _Line(f"- name: {_scalar(profile.name)}")
    yield _Line("  plugins:")
    for name in dict.fromkeys(plugin.name for plugin in profile.plugins()):
        yield _Line(f"  - pluginRef: {_scalar(name)}")
        if name in weights:
            yield _Line(f"    weight: {_scalar(weights[name])}")


def _section(loaded: Loaded) -> Iterator[_Line]:
    values = loaded.written.section.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        yield from _written_value(key, value, loaded.written.merged.child(key), 2)


def _written_value(key: str, value: Json, node: Node | None, indent: int) -> Iterator[_Line]:
    if not isinstance(value, dict) or not value:
        yield from _value(key, value, indent, _origin(node.place if node else None))
        return
    yield _Line(f"{' ' * indent}{_scalar(key)}:")
    for name, inner in value.items():
        if inner is not None:
            yield from _written_value(name, inner, node.child(name) if node else None, indent + 2)


def _value(key: str, value: Json, indent: int, origin: str) -> Iterator[_Line]:
    """A key with a value of any shape."""
    at = f"{' ' * indent}{_scalar(key)}:"
    if isinstance(value, dict | list) and value:
        yield _Line(at, origin)
        yield from _block(value, indent + 2)
    else:
        yield _Line(f"{at} {_flow(value)}", origin)


def _block(value: Json, indent: int) -> Iterator[_Line]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _value(key, inner, indent, "")
    elif isinstance(value, list):
        for item in value:
            yield _Line(f"{' ' * indent}- {_flow(item)}")


def _flow(value: Json) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if _PLAIN.fullmatch(value) and isinstance(resolve_scalar(value), str):
        return value
    return str(yaml.safe_dump(value, default_style='"', width=1 << 30, allow_unicode=True)).strip()


def _origin(place: Place | None) -> str:
    if place is None:
        return DEFAULT
    return f"{place.source}:{place.line}" if place.line else place.source

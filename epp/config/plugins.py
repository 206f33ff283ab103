"""Finds out what the entries under `plugins` are. Four kinds of types, looked up in this order:

1. built in: `queue-scorer` (the catalogue of `epp.scheduling.plugins`);
2. always on or configured elsewhere here: `metrics-data-source` (a role of the catalogue; its parameters are read);
3. of the Go picker and not here: `disagg-profile-handler` (the start warns and says what happens instead);
4. an operator's own class: an entry point of the group `epp.plugins`, or an import path `mypkg.mod:Class`.

Anything else is an error. Own classes are imported when the file is checked, and made when the profile is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import entry_points

from epp.config.errors import ConfigError, Findings, Place, Problem, meant
from epp.config.file_model import PluginEntry, Written, WrittenFile
from epp.config.parameters import arguments_of, defaults_of, parameters_model, plain_defaults_of
from epp.config.producers import with_producers
from epp.config.validation import key_of, validate
from epp.config.yaml_document import Node
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES, Kind, kinds_of, load_class
from epp.scheduling.plugins.validation import Remarking

__all__ = ["ENTRY_POINTS", "Absent", "PluginSpec", "Resolved", "RoleUse", "built_in", "resolve_plugins"]

ENTRY_POINTS = "epp.plugins"

At = tuple[Place, str]
"""Where something stands: its place and its path."""

_NOWHERE = Place("default")


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin that can be made. Equal specs make plugins that behave alike."""

    name: str
    type_name: str
    factory: type
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Of the constructor, defaults included as far as they are plain values."""
    place: Place = field(default=_NOWHERE, compare=False)
    key: str = field(default="", compare=False)

    @property
    def kinds(self) -> frozenset[Kind]:
        """Where it can stand in a profile."""
        return kinds_of(self.factory)

    def make(self) -> object:
        """A new plugin. Raises ConfigError when its constructor raises."""
        try:
            return self.factory(**self.arguments)
        except Exception as error:  # whatever an operator's class does, it is told where and why
            raise ConfigError(
                [Problem(self.place, self.key, f"{self.type_name} cannot be made: {_text(error)}")]
            ) from error


@dataclass(frozen=True, slots=True)
class RoleUse:
    """An entry for something that is always on, or configured elsewhere here."""

    type_name: str
    parameters: object
    """The dataclass of the catalogue."""
    written: Written[PluginEntry]


@dataclass(frozen=True, slots=True)
class Absent:
    """An entry for something that is not here."""

    type_name: str


Resolved = PluginSpec | RoleUse | Absent


def built_in(type_: str) -> PluginSpec:
    """A built-in plugin with its defaults."""
    cls = load_class(BUILT_IN[type_].path)
    return PluginSpec(type_, type_, cls, defaults_of(cls))


def resolve_plugins(file: WrittenFile, findings: Findings) -> Mapping[str, Resolved]:
    """The valid entries by name, in order; faults go to `findings`."""
    resolved: dict[str, Resolved] = {}
    seen: dict[str, int] = {}
    for entry in file.plugins:
        name, place = entry.value.label, entry.node.place
        if name in seen:
            message = f"name {name!r} stands here again, first in line {seen[name]}: give one of them another name"
            findings.errors.append(Problem(place, entry.key, message))
            continue
        seen[name] = place.line
        found = _resolve(entry, file, findings)
        if found:
            resolved[name] = found
    return resolved


def _resolve(entry: Written[PluginEntry], file: WrittenFile, findings: Findings) -> Resolved | None:
    type_ = entry.value.type
    at: At = (entry.node.child("type") or entry.node).place, key_of(entry.key, "type")
    if type_ in BUILT_IN:
        _note_deprecation(BUILT_IN[type_].replaced_by, type_, at, findings)
        spec = _spec(entry, load_class(BUILT_IN[type_].path), findings)
        return spec and _tried(replace(spec, arguments=with_producers(spec.arguments, entry, file)), findings)
    if type_ in BUILT_IN_ROLES:
        return _role(entry, at, findings)
    if type_ in ABSENT:
        findings.absent.append(Problem(*at, f"{type_} is not here: {ABSENT[type_]}"))
        return Absent(type_)
    try:
        cls = _own_class(type_)
    except ValueError as error:
        findings.errors.append(Problem(*at, str(error)))
        return None
    return _spec(entry, cls, findings, own=True)


def _own_class(type_: str) -> type:
    """The class of an operator's plugin. Raises ValueError that says what is wrong."""
    point = next(iter(entry_points(group=ENTRY_POINTS, name=type_)), None)
    if not point and ":" not in type_:
        known = (*BUILT_IN, *BUILT_IN_ROLES, *ABSENT, *(each.name for each in entry_points(group=ENTRY_POINTS)))
        near = meant(type_, known).split("; known")[0]
        raise ValueError(f"no plugin type {type_[:80]!r}{near}; a class of your own is written package.module:Class")
    try:
        loaded = point.load() if point else import_module(type_.partition(":")[0])
    except (Exception, SystemExit) as error:  # the module's own code runs here
        raise ValueError(f"{type_[:80]!r} cannot be imported: {_text(error)}") from None
    cls = loaded if point else load_class(type_)
    if not isinstance(cls, type) or not kinds_of(cls):
        methods = ", ".join(name for kind in Kind for name in kind.value)
        raise ValueError(f"{type_[:80]!r} is no plugin: a class with one of the methods {methods} is")
    return cls


def _spec(entry: Written[PluginEntry], cls: type, findings: Findings, *, own: bool = False) -> PluginSpec | None:
    arguments = _arguments(entry, cls, findings, own=own)
    if arguments is None:
        return None
    arguments = {**(plain_defaults_of(cls) if own else defaults_of(cls)), **arguments}
    place = entry.node.keys.get("parameters", entry.node.place)
    return PluginSpec(entry.value.label, entry.value.type, cls, arguments, place, key_of(entry.key, "parameters"))


def _arguments(
    entry: Written[PluginEntry], cls: type, findings: Findings, *, own: bool = False
) -> Mapping[str, object] | None:
    """The constructor's arguments; None when the parameters are not what it takes."""
    try:
        model = parameters_model(cls, snake_case=own)
    except ValueError as error:
        findings.errors.append(Problem(entry.node.place, key_of(entry.key, "type"), f"{entry.value.type}: {error}"))
        return None
    node = entry.node.child("parameters") or Node({}, entry.node.place)
    parameters = validate(model, node, key_of(entry.key, "parameters"), findings)
    return None if parameters is None else arguments_of(parameters)


def _tried(spec: PluginSpec, findings: Findings) -> PluginSpec | None:
    """The spec, when a plugin can be made of it. Constructors of built-in plugins only check and cost nothing."""
    try:
        plugin = spec.factory(**spec.arguments)
    except ValueError as error:
        findings.errors.append(Problem(spec.place, spec.key, str(error)))
        return None
    _take_remarks(plugin, (spec.place, spec.key), findings)
    return spec


def _role(entry: Written[PluginEntry], at: At, findings: Findings) -> RoleUse | None:
    role = BUILT_IN_ROLES[entry.value.type]
    _note_deprecation(role.replaced_by, entry.value.type, at, findings)
    cls = load_class(role.parameters)
    arguments = _arguments(entry, cls, findings)
    if arguments is None:
        return None
    where: At = entry.node.keys.get("parameters", entry.node.place), key_of(entry.key, "parameters")
    try:
        parameters = cls(**arguments)
    except ValueError as error:
        findings.errors.append(Problem(*where, str(error)))
        return None
    _take_remarks(parameters, where, findings)
    return RoleUse(entry.value.type, parameters, entry)


def _take_remarks(plugin: object, at: At, findings: Findings) -> None:
    if isinstance(plugin, Remarking):
        findings.notes.extend(Problem(*at, remark) for remark in plugin.remarks())


def _note_deprecation(replaced_by: str, type_: str, at: At, findings: Findings) -> None:
    if replaced_by:
        findings.warnings.append(Problem(*at, f"{type_} is an old name: write {replaced_by}"))


def _text(error: BaseException) -> str:
    """An exception in one line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__

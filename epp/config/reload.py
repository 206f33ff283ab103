"""Says what of a new configuration can be taken over while the picker runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from epp.config.errors import Place, Problem
from epp.config.fields import Part, Section
from epp.config.layers import NOWHERE, leaf, leaves
from epp.config.load import Loaded
from epp.config.sections import EppSection
from epp.config.settings import settings_of
from epp.config.validation import find
from epp.config.yaml_document import Json, Node

__all__ = ["Reload", "plan_reload"]


@dataclass(frozen=True, slots=True)
class Reload:
    """What to do with a new configuration."""

    loaded: Loaded
    """What is in effect then: the new one, with the old values of what needs a restart."""
    parts: frozenset[Part]
    """What has changed and is to be exchanged."""
    kept: tuple[Problem, ...]
    """What has changed and waits for a restart."""


def plan_reload(old: Loaded, new: Loaded) -> Reload:
    """Compares what is in effect with what was read. `old` is the `loaded` of the reload before, if there was one."""
    fixed = [name for name, section in _sections(old.written.section) if section.takes_effect is None]
    kept = tuple(problem for name in fixed for problem in _differences(name, old, new))
    section = new.written.section.model_copy(update={name: getattr(old.written.section, name) for name in fixed})
    written = replace(new.written, section=section, merged=_merged(fixed, old, new))
    settings = settings_of(section, new.written.profile)
    loaded = replace(new, written=written, settings=settings, waiting=kept)
    return Reload(loaded, frozenset(_changed(old, loaded)), kept)


def _sections(section: EppSection) -> Iterator[tuple[str, Section]]:
    for name in type(section).model_fields:
        yield name, getattr(section, name)


def _changed(old: Loaded, new: Loaded) -> Iterator[Part]:
    if old.written.profile != new.written.profile:
        yield Part.PROFILE
    for name, section in _sections(old.written.section):
        if section.takes_effect and section != getattr(new.written.section, name):
            yield section.takes_effect


def _differences(name: str, old: Loaded, new: Loaded) -> Iterator[Problem]:
    before, after = _values(name, old), _values(name, new)
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            place, _, steps = find(new.written.merged, path)
            if len(steps) < len(path):  # what stands around it may come from a flag, which has nothing to do with it
                place = Place(new.written.file.root.place.source)
            message = f"{after.get(path)!r} takes effect at the next start; until then {before.get(path)!r} is kept"
            yield Problem(place, f"epp.{'.'.join(path)}", message)


def _values(name: str, loaded: Loaded) -> dict[tuple[str, ...], Json]:
    """Values of a section by path, as they would be written."""
    dumped = loaded.written.section.model_dump(mode="json", by_alias=True, include={name})
    return {path: node.plain() for path, node in leaves(leaf(dumped, NOWHERE))}


def _merged(fixed: list[str], old: Loaded, new: Loaded) -> Node:
    """What was written, for the values in effect."""
    fields = {**_fields(new.written.merged)}
    for name in fixed:
        fields.pop(name, None)
    fields.update((name, node) for name, node in _fields(old.written.merged).items() if name in fixed)
    return replace(new.written.merged, value=fields)


def _fields(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}

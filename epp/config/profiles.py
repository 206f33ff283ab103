"""Scheduling profiles: what the file says becomes a `ProfileSpec`, and a spec becomes a `Profile` that runs.

One profile is used: the one called `default`, else `decode` (whoever decodes can prefill too), else the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from epp.config.errors import Findings, Problem
from epp.config.file_model import ProfileEntry, Written, WrittenFile
from epp.config.plugins import Absent, PluginSpec, Resolved, built_in
from epp.config.validation import key_of
from epp.scheduling.plugins.catalog import Kind

__all__ = ["ProfileSpec", "ScorerUse", "choose_profile", "default_spec"]

COST, COST_PICKER, SCORE_PICKER = "least-work-cost", "rendezvous-picker", "max-score-picker"
PREFERRED = ("default", "decode")
RANDOM_PICKERS = frozenset({"random-picker", "weighted-random-picker"})


@dataclass(frozen=True, slots=True)
class ScorerUse:
    """A scorer's place."""

    plugin: PluginSpec
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """A profile that can be built: it has scorers or a cost, never both."""

    name: str
    picker: PluginSpec
    filters: tuple[PluginSpec, ...] = ()
    scorers: tuple[ScorerUse, ...] = ()
    cost: PluginSpec | None = None
    listeners: tuple[PluginSpec, ...] = ()

    def plugins(self) -> Iterator[PluginSpec]:
        """All plugins; one that has two places comes twice."""
        yield from self.filters
        yield from (use.plugin for use in self.scorers)
        if self.cost:
            yield self.cost
        yield self.picker
        yield from self.listeners


def default_spec() -> ProfileSpec:
    """What runs without any configuration (`epp.scheduling.default_profile`)."""
    return ProfileSpec("default", picker=built_in(COST_PICKER), cost=built_in(COST))


def choose_profile(file: WrittenFile, resolved: Mapping[str, Resolved], findings: Findings) -> ProfileSpec:
    """The profile to use. All are checked; faults go to `findings`, and what comes back then is not to be used."""
    if not file.profiles:
        faulty = file.root.child("schedulingProfiles")
        return default_spec() if faulty and faulty.value else _unwritten(resolved, findings, file)
    _check_names(file.profiles, findings)
    drafts = [_draft(profile, resolved, findings) for profile in file.profiles]
    by_name = {draft.name: draft for draft in reversed(drafts)}
    chosen = next((by_name[name] for name in PREFERRED if name in by_name), drafts[0])
    if len(drafts) > 1:
        second = file.profiles[1]
        message = f"one profile is used here, {chosen.name!r}: handlers that choose among several are not here"
        findings.absent.append(Problem(second.node.place, second.key, message))
    used = {plugin.name for draft in drafts for plugin in draft.all()}
    return _finished(chosen, resolved, used, findings)


@dataclass(slots=True)
class _Draft:
    """A profile while it is put together."""

    name: str
    written: Written[ProfileEntry] | None
    filters: list[PluginSpec] = field(default_factory=list)
    scorers: list[ScorerUse] = field(default_factory=list)
    costs: list[PluginSpec] = field(default_factory=list)
    pickers: list[PluginSpec] = field(default_factory=list)
    listeners: list[PluginSpec] = field(default_factory=list)
    absent: int = 0
    """References to plugins that are not here."""
    faulty: int = 0
    """References to nothing, or to faulty entries."""

    def take(self, plugin: PluginSpec, weight: float | None) -> None:
        """Gives a plugin every place that it can fill."""
        can = plugin.kinds
        if Kind.FILTER in can:
            self.filters.append(plugin)
        if Kind.SCORER in can:
            self.scorers.append(ScorerUse(plugin, 1.0 if weight is None else weight))
        if Kind.COST in can:
            self.costs.append(plugin)
        if Kind.PICKER in can:
            self.pickers.append(plugin)
        if can == {Kind.HOOK}:
            self.listeners.append(plugin)

    def all(self) -> Iterator[PluginSpec]:
        """Every plugin in it."""
        yield from (*self.filters, *(use.plugin for use in self.scorers), *self.costs, *self.pickers, *self.listeners)


def _unwritten(resolved: Mapping[str, Resolved], findings: Findings, file: WrittenFile) -> ProfileSpec:
    """Without profiles: of all plugins that are listed, as the Go picker does, or the default."""
    draft = _Draft("default", None)
    specs = [plugin for plugin in resolved.values() if isinstance(plugin, PluginSpec)]
    for plugin in specs:
        draft.take(plugin, None)
    if len(draft.pickers) > 1 or len(draft.costs) > 1 or (draft.costs and draft.scorers):
        message = "without schedulingProfiles all plugins make one profile, and these cannot: write the profile"
        findings.errors.append(Problem(file.place_of("plugins"), "plugins", message))
        return default_spec()
    return _finished(draft, resolved, {plugin.name for plugin in specs}, findings)


def _check_names(profiles: Iterable[Written[ProfileEntry]], findings: Findings) -> None:
    seen: dict[str, Written[ProfileEntry]] = {}
    for profile in profiles:
        first = seen.setdefault(profile.value.name, profile)
        if first is not profile:
            message = f"profile {profile.value.name!r} stands twice, first in line {first.node.place.line}"
            findings.errors.append(Problem(profile.node.place, profile.key, message))


def _draft(profile: Written[ProfileEntry], resolved: Mapping[str, Resolved], findings: Findings) -> _Draft:
    draft = _Draft(profile.value.name, profile)
    nodes = (profile.node.child("plugins") or profile.node).items()
    for index, (ref, node) in enumerate(zip(profile.value.plugins, nodes, strict=True)):
        key = key_of(key_of(profile.key, "plugins"), index)
        place = (node.child("pluginRef") or node).place
        match resolved.get(ref.plugin_ref):
            case PluginSpec() as plugin:
                if ref.weight is not None and Kind.SCORER not in plugin.kinds:
                    message = f"weight has no effect: {ref.plugin_ref!r} is no scorer"
                    findings.warnings.append(Problem(place, key_of(key, "weight"), message))
                draft.take(plugin, ref.weight)
            case Absent():
                draft.absent += 1
            case None:
                draft.faulty += 1
            case _:
                message = f"plugin {ref.plugin_ref!r} has no place in a profile and no effect in this one"
                findings.warnings.append(Problem(place, key, message))
    _check_places(draft, profile, findings)
    return draft


def _check_places(draft: _Draft, profile: Written[ProfileEntry], findings: Findings) -> None:
    faults = []
    if draft.scorers and draft.costs:
        scorers = ", ".join(use.plugin.name for use in draft.scorers)
        faults.append(f"has scorers ({scorers}) and the cost {draft.costs[0].name}: a profile has one or the other")
    for kind, plugins in (("costs", draft.costs), ("pickers", draft.pickers)):
        if len(plugins) > 1:
            faults.append(f"has several {kind} ({', '.join(plugin.name for plugin in plugins)}): one can decide")
    findings.errors.extend(Problem(profile.node.place, profile.key, fault) for fault in faults)


def _finished(draft: _Draft, resolved: Mapping[str, Resolved], used: set[str], findings: Findings) -> ProfileSpec:
    """The draft with what it lacks: a cost where nothing gives values, a picker, and plugins that only listen."""
    specs = [plugin for plugin in resolved.values() if isinstance(plugin, PluginSpec)]
    listed = next((plugin for plugin in specs if Kind.PICKER in plugin.kinds), None)
    picker = draft.pickers[0] if draft.pickers else listed
    cost = draft.costs[0] if draft.costs else None
    if not draft.scorers and not cost and not (picker and picker.type_name in RANDOM_PICKERS):
        cost = built_in(COST)
        _note_default_cost(draft, findings)
    listeners = [plugin for plugin in specs if plugin.name not in used and plugin.kinds == {Kind.HOOK}]
    return ProfileSpec(
        draft.name,
        picker=picker or built_in(COST_PICKER if cost else SCORE_PICKER),
        filters=tuple(draft.filters),
        scorers=tuple(draft.scorers),
        cost=cost,
        listeners=(*draft.listeners, *listeners),
    )


def _note_default_cost(draft: _Draft, findings: Findings) -> None:
    if draft.written is None or draft.faulty:
        return
    at = draft.written.node.place, draft.written.key
    if draft.absent:
        findings.absent.append(Problem(*at, f"no scorer of this profile is here: {COST} decides"))
    else:
        findings.warnings.append(
            Problem(*at, f"has neither scorers nor a cost: {COST} decides (the Go picker would pick at random)")
        )

"""Makes the profile that settings describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from epp.config.plugins import PluginSpec
from epp.config.settings import Settings
from epp.scheduling import FaultListener, Profile, Slot, Weighted

__all__ = ["build_profile"]


def build_profile(
    settings: Settings,
    faults: FaultListener | None = None,
    stopwatch: Callable[[], float] | None = None,
    *,
    before: tuple[Settings, Profile] | None = None,
) -> Profile:
    """The profile, with one plugin per entry of the file. Raises ConfigError when one cannot be made.

    `before`: the settings and profile in use. Plugins whose entry has not changed are taken over, so that a reload
    for the sake of a weight forgets no session.
    """
    spec = settings.profile
    kept = _made(*before) if before else {}
    plugins: dict[str, object] = {}
    for plugin in spec.plugins():
        if plugin.name not in plugins:
            known = kept.get(plugin.name)
            plugins[plugin.name] = known[1] if known and known[0] == plugin else plugin.make()

    def slot(plugin: PluginSpec) -> Slot:
        return Slot(plugin.name, plugins[plugin.name])

    return Profile(
        name=spec.name,
        filters=tuple(slot(plugin) for plugin in spec.filters),
        scorers=tuple(Weighted(use.plugin.name, plugins[use.plugin.name], weight=use.weight) for use in spec.scorers),
        cost=slot(spec.cost) if spec.cost else None,
        picker=slot(spec.picker),
        listeners=tuple(slot(plugin) for plugin in spec.listeners),
        faults=faults,
        stopwatch=stopwatch,
        slow_s=settings.slow_plugin_s,
        slow_calls_allowed=settings.slow_plugin_calls,
    )


def _made(settings: Settings, profile: Profile) -> Mapping[str, tuple[PluginSpec, object]]:
    """The plugins of a profile with the entries that they were made of."""
    made = {slot.name: slot.plugin for slot in profile.slots()}
    return {plugin.name: (plugin, made[plugin.name]) for plugin in settings.profile.plugins() if plugin.name in made}

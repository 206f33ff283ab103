"""From flags, environment and file to `Settings`, or to all that is wrong with them at once.

`settings_from` is pure; `read_config` and `load` read the file for it. What was read is kept beside the settings
(`Written`), for the effective configuration and for reloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from epp.config.errors import ConfigError, Findings, Place, Problem
from epp.config.file_model import EndpointPickerConfig, WrittenFile, read_parts
from epp.config.flag_table import FlagValues, flag_layer, place_of_flag
from epp.config.layers import layer, leaf, overlay
from epp.config.plugins import resolve_plugins
from epp.config.profiles import ProfileSpec, choose_profile, default_spec
from epp.config.sections import EppSection
from epp.config.sections_without_effect import note_sections
from epp.config.settings import Settings, settings_of
from epp.config.translate import check_references, plugin_layer
from epp.config.units import format_duration
from epp.config.validation import find, validate
from epp.config.yaml_document import MAX_BYTES, Node, read_document
from epp.discovery.kubernetes.labels import check_name

__all__ = ["ConfigFile", "Loaded", "Written", "load", "read_config", "read_settings", "settings_from"]

SLOW_ENOUGH_S = 1.0
HOUR_S = 3600.0

_SOURCES = (
    "--endpoint HOST:PORT, --endpoints-file FILE, --dns NAME:PORT, --srv NAME, --pool-name NAME, or "
    "keys under epp.endpoints"
)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration as text, and what to call it in messages."""

    data: bytes
    source: str


@dataclass(frozen=True, slots=True)
class Written:
    """What the settings were made of."""

    section: EppSection
    merged: Node
    """All layers of the `epp:` section; each value with its place."""
    profile: ProfileSpec
    file: WrittenFile

    @property
    def names_endpoints(self) -> bool:
        """Whether anything says where endpoints come from."""
        return _names_endpoints(self.section)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, what they were made of, and what an operator should know."""

    settings: Settings
    written: Written
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    waiting: tuple[Problem, ...] = ()
    """What a reload left for the next start."""


def settings_from(
    flags: FlagValues, env: Mapping[str, str], file: ConfigFile | None
) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings, and warnings for the log. `flags` by name without dashes. Raises ConfigError with all errors.

    `file`: what `--config-file` names; None when it is not given. `--config-text` is taken from the flags.
    """
    loaded = read_settings(flags, env, file)
    return loaded.settings, loaded.warnings


def load(flags: FlagValues, env: Mapping[str, str]) -> Loaded:
    """Reads the file that the flags name, if any, and all the rest. Raises ConfigError."""
    path = flags.get("config-file")
    file = ConfigFile(read_config(Path(path)), path) if isinstance(path, str) and path else None
    return read_settings(flags, env, file)


def read_config(path: Path) -> bytes:
    """The bytes of a configuration file, one more than may be at most. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError([Problem(Place(str(path)), "", f"cannot be read: {reason}")]) from None
    except ValueError:
        raise ConfigError([Problem(Place(repr(str(path))), "", "is no path")]) from None


def read_settings(flags: FlagValues, env: Mapping[str, str], file: ConfigFile | None) -> Loaded:
    """As `settings_from`, with everything that was found out on the way."""
    findings = Findings()
    given = _given_file(flags, file, findings)
    written = read_written(given, flags, env, findings)
    if written:
        _check_endpoints(written, given, findings)
        _check_intervals(written, findings)
    findings.raise_errors()
    assert written is not None, "a section that cannot be read is an error"
    settings = settings_of(written.section, written.profile)
    return Loaded(settings, written, findings.all_warnings(), tuple(sorted(findings.notes, key=lambda n: n.place)))


def read_written(
    file: ConfigFile | None, flags: FlagValues, env: Mapping[str, str], findings: Findings
) -> Written | None:
    """Checks everything; faults go to `findings`. None when the `epp:` section has some."""
    parts = _parts(file, findings)
    plugins = resolve_plugins(parts, findings)
    profile = choose_profile(parts, plugins, findings) if file else default_spec()
    check_references(parts, plugins, findings)
    merged = plugin_layer(parts, plugins, findings)
    if parts.epp:
        merged = overlay(merged, parts.epp, findings)
    merged = overlay(merged, flag_layer(flags, findings), findings)
    merged = overlay(_environment(env), merged, None)
    if parts.epp:
        merged = replace(merged, place=parts.place_of("epp"))
    section = validate(EppSection, merged, "epp", findings)
    if section is None:
        return None
    section = _with_pool(_with_defaults(section, merged), flags)
    _check_names(section, merged, findings)
    return Written(section, merged, profile, parts)


def _names_endpoints(section: EppSection) -> bool:
    endpoints = section.endpoints
    watched = endpoints.kubernetes.pool or endpoints.kubernetes.selector
    return bool(endpoints.static or endpoints.dns or endpoints.srv or endpoints.file.path or watched)


def _with_pool(section: EppSection, flags: FlagValues) -> EppSection:
    """As in the Go picker, `--pool-name` alone means the InferencePool of that name."""
    if not flags.get("pool-name") or _names_endpoints(section):
        return section
    kubernetes = section.endpoints.kubernetes.model_copy(update={"pool": True})
    return section.model_copy(update={"endpoints": section.endpoints.model_copy(update={"kubernetes": kubernetes})})


def _check_names(section: EppSection, merged: Node, findings: Findings) -> None:
    """What is watched on Kubernetes is named as Kubernetes names things. Elsewhere a pool may have any name."""
    kubernetes, pool = section.endpoints.kubernetes, section.pool
    names: dict[tuple[str, ...], str] = {}
    if kubernetes.pool or kubernetes.selector:
        names["pool", "namespace"] = pool.namespace
    if kubernetes.pool:
        names["pool", "name"], names["endpoints", "kubernetes", "group"] = pool.name, kubernetes.group
    for path, name in names.items():
        try:
            check_name("a Kubernetes object", name)
        except ValueError as error:
            place, _, _ = find(merged, path)
            findings.errors.append(Problem(place, f"epp.{'.'.join(path)}", str(error)))


def _with_defaults(section: EppSection, merged: Node) -> EppSection:
    """The section with those defaults that depend on other keys: one late page must not make metrics fade."""
    if _is_written(merged, "staleness", "after"):
        return section
    after = min(max(section.staleness.after, 2 * section.scraping.interval), HOUR_S)
    return section.model_copy(update={"staleness": section.staleness.model_copy(update={"after": after})})


def _is_written(merged: Node, *keys: str) -> bool:
    node: Node | None = merged
    for key in keys:
        node = node.child(key) if node else None
    return node is not None and node.value is not None


def _given_file(flags: FlagValues, file: ConfigFile | None, findings: Findings) -> ConfigFile | None:
    assert file or not flags.get("config-file"), "who gives --config-file has read it"
    text = flags.get("config-text")
    if not isinstance(text, str) or not text:
        return file
    if file:
        findings.errors.append(
            Problem(place_of_flag("config-text"), "", "and --config-file are both given: choose one")
        )
    return ConfigFile(text.encode("utf-8", "replace"), "--config-text")


def _parts(file: ConfigFile | None, findings: Findings) -> WrittenFile:
    nothing = WrittenFile(EndpointPickerConfig(), Node({}, Place(file.source, 1, 1) if file else Place("")))
    if file is None:
        return nothing
    faults = len(findings.errors)
    root = read_document(file.data, file.source, findings)
    if root is None or root.value is None:
        if len(findings.errors) == faults:  # an editor or a full disk may have left it empty: no time for defaults
            message = "is empty: write 'kind: EndpointPickerConfig' when defaults are meant"
            findings.errors.append(Problem(Place(file.source, 1, 1), "", message))
        return nothing
    parts = read_parts(root, findings)
    note_sections(parts, findings)
    return parts


def _environment(env: Mapping[str, str]) -> Node:
    """What the environment says about the `epp:` section: the names that Kubernetes hands to a pod."""
    keys = {"NAMESPACE": ("pool", "namespace"), "POD_NAME": ("pool", "replica")}
    return layer([(path, leaf(env[name], Place(name))) for name, path in keys.items() if env.get(name)])


def _check_endpoints(written: Written, file: ConfigFile | None, findings: Findings) -> None:
    if not written.names_endpoints:
        place = Place(file.source, 1, 1) if file else Place("endpoints")
        findings.errors.append(Problem(place, "", f"no endpoints are named: give {_SOURCES}"))


def _check_intervals(written: Written, findings: Findings) -> None:
    interval = written.section.scraping.interval
    if interval < SLOW_ENOUGH_S:
        place, _, _ = find(written.merged, ("scraping", "interval"))
        message = f"{format_duration(interval)} is honoured, but each metrics page costs vLLM 5 to 18 ms"
        findings.warnings.append(Problem(place, "epp.scraping.interval", message))
    if (after := written.section.staleness.after) < 2 * interval:
        place, _, _ = find(written.merged, ("staleness", "after"))
        message = (
            f"{format_duration(after)} is less than two intervals between scrapes: metrics fade before the next page"
        )
        findings.warnings.append(Problem(place, "epp.staleness.after", message))

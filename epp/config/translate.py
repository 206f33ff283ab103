"""Takes over what the Go picker's file says outside `epp:` and what has its own key here: parameters of data-layer
plugins, and sections that have no effect or an old name.

The result is a layer below the `epp:` section. A parameter that is given and has no key here is noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from epp.config.errors import Findings, Problem, meant
from epp.config.file_model import WrittenFile
from epp.config.layers import layer, leaf, overlay
from epp.config.plugins import Absent, PluginSpec, Resolved, RoleUse
from epp.config.validation import Step, key_of
from epp.config.yaml_document import Node
from epp.endpoints.rates import TokenEstimates
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES
from epp.scheduling.plugins.data_layer import ApproxPrefixCacheProducer
from epp.scheduling.plugins.prefix_cache import PrefixCacheScorer
from epp.telemetry.engines import ENGINE_LABELS

__all__ = ["check_references", "plugin_layer"]

Path = tuple[str, ...]

METRICS_SOURCE, MODELS_SOURCE, EXTRACTOR = "metrics-data-source", "models-data-source", "core-metrics-extractor"
FILE, PREFIX_SCORER = "file-discovery", "prefix-cache-scorer"

_TLS = {
    "caCertPath": ("scraping", "tls", "caFile"),
    "clientCertPath": ("scraping", "tls", "certFile"),
    "clientKeyPath": ("scraping", "tls", "keyFile"),
}
_KEYS: Mapping[str, Mapping[str, Path]] = {
    METRICS_SOURCE: {
        "scheme": ("scraping", "scheme"),
        "path": ("scraping", "path"),
        "port": ("scraping", "port"),
        "interval": ("scraping", "interval"),
        **_TLS,
    },
    MODELS_SOURCE: {
        "scheme": ("scraping", "scheme"),
        "path": ("scraping", "models", "path"),
        "interval": ("scraping", "models", "interval"),
        **_TLS,
    },
    EXTRACTOR: {"defaultEngine": ("scraping", "engine")},
    FILE: {"path": ("endpoints", "file", "path"), "watchFile": ("endpoints", "file", "watch")},
}
"""Parameters whose values are taken as they are."""

_ENGINE_KEYS: Mapping[str, str] = {
    "queuedRequestsSpec": "waiting",
    "runningRequestsSpec": "running",
    "kvUsageSpec": "kvUsage",
    "loraSpec": "loraInfo",
    "cacheInfoSpec": "cacheInfo",
    "cacheBlockSizeLabelName": "blockSizeLabel",
    "cacheNumBlocksLabelName": "blocksLabel",
    "cacheBlockSizeSpec": "blockSize",
    "cacheNumBlocksSpec": "blocks",
}


_CAPACITY = "it is taken over as epp.prefix.capacityTokens"
_OLD_PREFIX_KEYS: Mapping[str, str] = {
    "lruCapacityPerServer": _CAPACITY,
    "hashBlockSize": "it converts lruCapacityPerServer; blocks of the index are 256 bytes",
    "blockSize": "it converts lruCapacityPerServer; blocks of the index are 256 bytes",
    "maxPrefixBlocksToMatch": "it has no effect, as matches may have any length",
    "autoTune": "it has no effect, as a server's capacity is taken from its metrics where they tell",
}


def plugin_layer(file: WrittenFile, resolved: Mapping[str, Resolved], findings: Findings) -> Node:
    """What plugin parameters say about the `epp:` section."""
    roles = {name: use for name, use in resolved.items() if isinstance(use, RoleUse)}
    referred = {ref for ref, _, _ in _data_layer_references(file)}
    merged = layer(_old_prefix_values(file, resolved, findings))
    for name, use in roles.items():
        if name in referred or _counts(name, use, file, findings):
            merged = overlay(layer(_values(use, findings)), merged, findings)
    return merged


def check_references(file: WrittenFile, resolved: Mapping[str, Resolved], findings: Findings) -> None:
    """Every plugin that something refers to is there; one that is to find endpoints does."""
    claimed = file.claimed_names()
    for name, steps, implied in _references(file):
        found = resolved.get(name)
        at = file.place_of(*steps), _key(steps)
        if found is None and name not in claimed and not (implied and _is_type(name)):
            findings.errors.append(Problem(*at, f"no plugin is named {name!r}{meant(name, resolved)}"))
        elif "discovery" in steps and found and not _discovers(found):
            findings.errors.append(Problem(*at, f"plugin {name!r} finds no endpoints: {FILE} does"))


def _discovers(found: Resolved) -> bool:
    return isinstance(found, Absent) or (isinstance(found, RoleUse) and found.type_name == FILE)


def _is_type(name: str) -> bool:
    """Whether the Go picker makes such a plugin with its defaults when a section refers to it."""
    return name in BUILT_IN or name in BUILT_IN_ROLES or name in ABSENT


def _key(steps: tuple[Step, ...]) -> str:
    key = ""
    for step in steps:
        key = key_of(key, step)
    return key


def _references(file: WrittenFile) -> Iterator[tuple[str, tuple[Step, ...], bool]]:
    """Name, path, and whether the name of a type is enough."""
    yield from _profile_references(file)
    yield from _data_layer_references(file)
    rest = file.rest
    for index, parser in enumerate(rest.request_handler.parsers):
        yield parser.plugin_ref, ("requestHandler", "parsers", index, "pluginRef"), True
    if rest.parser:
        yield rest.parser.plugin_ref, ("parser", "pluginRef"), True
    if rest.saturation_detector and rest.saturation_detector.plugin_ref:
        yield rest.saturation_detector.plugin_ref, ("saturationDetector", "pluginRef"), True
    flow = rest.flow_control
    if flow and flow.saturation_detector and flow.saturation_detector.plugin_ref:
        yield flow.saturation_detector.plugin_ref, ("flowControl", "saturationDetector", "pluginRef"), True
    if flow and flow.usage_limit_policy_plugin_ref:
        yield flow.usage_limit_policy_plugin_ref, ("flowControl", "usageLimitPolicyPluginRef"), True
    for index, band in enumerate(flow.priority_bands if flow else ()):
        for key, name in (
            ("fairnessPolicyRef", band.fairness_policy_ref),
            ("orderingPolicyRef", band.ordering_policy_ref),
        ):
            if name:
                yield name, ("flowControl", "priorityBands", index, key), True


def _profile_references(file: WrittenFile) -> Iterator[tuple[str, tuple[Step, ...], bool]]:
    """Those of all profiles, the faulty ones included."""
    for index, profile in enumerate((file.root.child("schedulingProfiles") or file.root).items()):
        for number, plugin in enumerate((profile.child("plugins") or file.root).items()):
            ref = plugin.child("pluginRef")
            if ref and isinstance(ref.value, str):
                yield ref.value, ("schedulingProfiles", index, "plugins", number, "pluginRef"), False


def _data_layer_references(file: WrittenFile) -> Iterator[tuple[str, tuple[Step, ...], bool]]:
    data = file.rest.data_layer
    for index, source in enumerate(data.sources):
        at: tuple[Step, ...] = ("dataLayer", "sources", index)
        yield source.plugin_ref, (*at, "pluginRef"), False
        for number, extractor in enumerate(source.extractors):
            yield extractor.plugin_ref, (*at, "extractors", number, "pluginRef"), False
    if data.discovery:
        yield data.discovery.ref, ("dataLayer", "discovery"), False
    if file.rest.discovery:
        yield file.rest.discovery.ref, ("discovery",), False
    if data.peer_discovery:
        yield data.peer_discovery.plugin_ref, ("dataLayer", "peerDiscovery", "pluginRef"), False
    if data.cross_replica_syncer_plugin_ref:
        yield data.cross_replica_syncer_plugin_ref, ("dataLayer", "crossReplicaSyncerPluginRef"), False


def _counts(name: str, use: RoleUse, file: WrittenFile, findings: Findings) -> bool:
    """Whether the Go picker would use an entry that nothing refers to; sources and discovery it would not."""
    needed = {FILE, METRICS_SOURCE, MODELS_SOURCE, EXTRACTOR} if file.rest.data_layer.sources else {FILE}
    if use.type_name not in needed:
        return True
    entry = use.written
    hint = "dataLayer.discovery" if use.type_name == FILE else "dataLayer.sources"
    findings.warnings.append(Problem(entry.node.place, entry.key, f"has no effect: {hint} does not refer to {name!r}"))
    return False


def _values(use: RoleUse, findings: Findings) -> Iterator[tuple[Path, Node]]:
    """The values that one entry gives, by path."""
    parameters = use.written.node.child("parameters")
    given = parameters.value if parameters and isinstance(parameters.value, dict) else {}
    taken = _KEYS.get(use.type_name, {})
    yield from ((taken[key], node) for key, node in given.items() if key in taken and node.value is not None)
    for key, node in given.items():
        if key not in taken and node.value is not None:
            yield from _special(use, key, node, findings)
    if use.type_name in (METRICS_SOURCE, MODELS_SOURCE) and "insecureSkipVerify" not in given:
        scheme = given.get("scheme")
        if scheme and scheme.value == "https":
            at = Problem(
                scheme.place, key_of(use.written.key, "parameters"), "certificates of servers are not verified"
            )
            findings.notes.append(at)
            yield ("scraping", "tls", "verify"), leaf(False, scheme.place)  # noqa: FBT003 - the Go picker's default


def _old_prefix_values(
    file: WrittenFile, resolved: Mapping[str, Resolved], findings: Findings
) -> Iterator[tuple[Path, Node]]:
    """What `prefix-cache-scorer` was told of the index before that had a plugin of its own."""
    for entry in file.plugins:
        spec, parameters = resolved.get(entry.value.label), entry.node.child("parameters")
        if not isinstance(spec, PluginSpec) or spec.type_name != PREFIX_SCORER or parameters is None:
            continue
        for key, place in parameters.keys.items():
            if key in _OLD_PREFIX_KEYS:
                message = f"is an old key: {_OLD_PREFIX_KEYS[key]}"
                findings.warnings.append(Problem(place, key_of(spec.key, key), message))
        scorer = spec.make()
        assert isinstance(scorer, PrefixCacheScorer)
        if scorer.old_capacity_bytes:
            tokens = int(scorer.old_capacity_bytes / TokenEstimates.DEFAULT_BYTES_PER_TOKEN)
            yield ("prefix", "capacityTokens"), leaf(tokens, parameters.keys["lruCapacityPerServer"])


def _special(use: RoleUse, key: str, node: Node, findings: Findings) -> Iterator[tuple[Path, Node]]:
    """Parameters that are not taken as they are."""
    at = node.place, key_of(key_of(use.written.key, "parameters"), key)
    match use.type_name, key:
        case (str(), "insecureSkipVerify"):
            yield ("scraping", "tls", "verify"), leaf(node.value is False, node.place)
        case (_, "engineConfigs"):
            yield from _engines(node)
        case (_, "engineLabelKey"):
            if node.value not in ENGINE_LABELS:
                yield ("scraping", "engineLabel"), node
        case (_, "lruCapacityPerServer"):
            assert isinstance(use.parameters, ApproxPrefixCacheProducer)
            yield ("prefix", "capacityTokens"), leaf(use.parameters.capacity_tokens, node.place)
        case (_, "blockSizeTokens"):
            findings.notes.append(Problem(*at, "only converts lruCapacityPerServer: blocks of the index are 256 bytes"))
        case ("session-id-producer", "headerName" | "cookieName") | ("mm-embeddings-cache-producer", _):
            return  # see `producers`
        case _:
            findings.notes.append(Problem(*at, f"has no effect here: {BUILT_IN_ROLES[use.type_name].note}"))


def _engines(configs: Node) -> Iterator[tuple[Path, Node]]:
    for config in configs.items():
        name = config.child("name")
        for key, ours in _ENGINE_KEYS.items():
            spec = config.child(key)
            if name and spec:
                yield ("scraping", "engines", str(name.value), ours), spec

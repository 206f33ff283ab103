"""Says what becomes of those parts of the Go picker's file that have an old name, or no effect here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from epp.config.errors import Findings, Problem, meant
from epp.config.file_model import DataLayer, WrittenFile
from epp.config.units import parse_bool
from epp.config.validation import key_of

__all__ = ["note_sections"]

OLD_GROUP = "inference.networking.x-k8s.io/v1alpha1"

FEATURE_GATES: Mapping[str, str] = {
    "flowControl": "",
    "dataLayer": "the data layer is always on",
    "enableLegacyMetrics": "metrics have one set of names",
    "haPopulateNonLeaderDatastore": "replicas need no leader: each is always ready",
    "prepareDataPlugins": "what plugins need is always prepared",
}
"""Gates of the Go picker, and what is so here whatever they say."""

NO_QUEUE = "flow control is not here: every request is placed or refused at once"


def note_sections(file: WrittenFile, findings: Findings) -> None:
    """Adds findings for everything outside plugins, profiles and `epp` that is not what it seems."""
    _note_header(file, findings)
    gates = dict(_gates(file, findings))
    if file.rest.flow_control and not gates.get("flowControl"):
        findings.notes.append(Problem(file.place_of("flowControl"), "flowControl", NO_QUEUE))
    for key in ("saturationDetector", "parser"):
        if getattr(file.rest, {"saturationDetector": "saturation_detector"}.get(key, key)):
            new = "flowControl.saturationDetector" if key == "saturationDetector" else "requestHandler.parsers"
            findings.warnings.append(Problem(file.place_of(key), key, f"is an old place: write {new}"))
    for key in file.rest.saturation_detector.old_keys() if file.rest.saturation_detector else ():
        at = file.place_of("saturationDetector", key), key_of("saturationDetector", key)
        message = f"is an old key, now a parameter of utilization-detector; {NO_QUEUE}"
        findings.warnings.append(Problem(*at, message))
    _note_data_layer(file, file.rest.data_layer, findings)


def _note_header(file: WrittenFile, findings: Findings) -> None:
    root = file.root
    if not root.child("kind"):
        findings.warnings.append(Problem(root.place, "", "has no kind: taken as EndpointPickerConfig"))
    if not root.child("apiVersion"):
        findings.warnings.append(Problem(root.place, "", "has no apiVersion: taken as llm-d.ai/v1alpha1"))
    if file.rest.api_version == OLD_GROUP:
        message = f"{OLD_GROUP} is the old name of llm-d.ai/v1alpha1"
        findings.warnings.append(Problem(file.place_of("apiVersion"), "apiVersion", message))


def _gates(file: WrittenFile, findings: Findings) -> Iterator[tuple[str, bool]]:
    for index, text in enumerate(file.rest.feature_gates):
        at = file.place_of("featureGates", index), key_of("featureGates", index)
        name, equals, value = text.partition("=")
        on = parse_bool(value.strip()) if equals else True
        if name not in FEATURE_GATES:
            findings.errors.append(Problem(*at, f"no feature gate {name[:80]!r}{meant(name, FEATURE_GATES)}"))
        elif on is None:
            findings.errors.append(Problem(*at, f"must be {name}, {name}=true or {name}=false, found {text[:80]!r}"))
        elif name == "flowControl":
            if on:
                findings.absent.append(Problem(*at, NO_QUEUE))
            yield name, on
        else:
            findings.warnings.append(Problem(*at, f"has no effect: {FEATURE_GATES[name]}"))


def _note_data_layer(file: WrittenFile, data: DataLayer, findings: Findings) -> None:
    shared = (
        ("peerDiscovery", data.peer_discovery),
        ("crossReplicaSyncerPluginRef", data.cross_replica_syncer_plugin_ref),
    )
    for key, value in shared:
        if value:
            place = file.place_of("dataLayer", key)
            findings.absent.append(Problem(place, key_of("dataLayer", key), "replicas share nothing here"))
    if not data.inject_defaults and not data.sources:
        message = "model servers are scraped all the same: load and cache are known from it"
        findings.notes.append(
            Problem(file.place_of("dataLayer", "injectDefaults"), "dataLayer.injectDefaults", message)
        )
    other = file.rest.discovery
    if other and data.discovery and other.ref != data.discovery.ref:
        message = f"has no effect: dataLayer.discovery refers to {data.discovery.ref!r}"
        findings.warnings.append(Problem(file.place_of("discovery"), "discovery", message))

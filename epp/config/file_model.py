"""The Go picker's part of the file: keys and shapes of `EndpointPickerConfig`, and its reading part by part.

Each part is checked on its own, so that a fault in one hides none in another. What plugins mean is found out in
`plugins` and `profiles`.

    apiVersion: llm-d.ai/v1alpha1
    kind: EndpointPickerConfig
    featureGates: [flowControl, haPopulateNonLeaderDatastore=false]
    plugins:
    - {name: queue, type: queue-scorer, parameters: {}}
    schedulingProfiles:
    - {name: default, plugins: [{pluginRef: queue, weight: 2}]}
    requestHandler: {parsers: [{pluginRef: openai-parser}]}
    dataLayer: {sources: [{pluginRef: metrics, extractors: [{pluginRef: names}]}], discovery: {pluginRef: file}}
    flowControl: {maxRequests: 1k, defaultRequestTTL: 60s, priorityBands: [{priority: 0}]}
    epp: {}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, model_validator

from epp.config.errors import Findings, Place, Problem
from epp.config.fields import Model, Name
from epp.config.sections import EppSection
from epp.config.units import Duration
from epp.config.validation import MAX_FAULTS, Step, find, found_text, key_of, validate
from epp.config.yaml_document import Node

__all__ = [
    "DataLayer",
    "Discovery",
    "EndpointPickerConfig",
    "FlowControl",
    "PluginEntry",
    "ProfileEntry",
    "ProfilePlugin",
    "Ref",
    "RequestHandler",
    "Written",
    "WrittenFile",
    "read_parts",
]

T = TypeVar("T", bound=BaseModel)

MAX_ENTRIES = 500
"""Plugins, and profiles. Each plugin's constructor is inspected, which takes a millisecond."""

Quantity = str | int | float
"""A Kubernetes quantity; only sections that have no effect here hold one."""


class PluginEntry(Model):
    """A plugin with its parameters."""

    name: str = ""
    """How the rest of the file refers to it. Empty: its type."""
    type: Name
    """A built-in type, an import path `package.module:Class`, or an entry point of the group `epp.plugins`."""
    parameters: Annotated[dict[str, Any], Field(max_length=200)] = Field(default={})
    """What the type takes; the constructor's arguments for a class."""

    @property
    def label(self) -> str:
        """Its name, or its type when it has none."""
        return self.name or self.type


class Ref(Model):
    """A reference to a plugin."""

    plugin_ref: Name
    """Its name."""


class ProfilePlugin(Ref):
    """A plugin's place in a profile."""

    weight: Annotated[float, Field(ge=0.0)] | None = None
    """Of a scorer, in the sum of all scores; 1 when not given."""


class ProfileEntry(Model):
    """Filters, then weighted scorers or one cost, then a picker."""

    name: Name
    """Name in logs and metrics."""
    plugins: tuple[ProfilePlugin, ...] = ()
    """Filters and scorers run in this order."""


class RequestHandler(Model):
    """How requests are read."""

    parsers: tuple[Ref, ...] = ()
    """Every parser that is here is always in use, so the list changes nothing."""


class Source(Ref):
    """A source of data about endpoints."""

    extractors: tuple[Ref, ...] = ()
    """What is taken from it."""


class Discovery(Model):
    """Where endpoints come from, in either form: a reference, or one under `endpoints`."""

    plugin_ref: Name | None = None
    """The plugin."""
    endpoints: Ref | None = None
    """The plugin, one level deeper."""

    @model_validator(mode="after")
    def _one(self) -> Discovery:
        if bool(self.plugin_ref) == bool(self.endpoints):
            raise ValueError("must hold either pluginRef or endpoints.pluginRef")
        return self

    @property
    def ref(self) -> str:
        """Name of the plugin."""
        return self.plugin_ref or (self.endpoints.plugin_ref if self.endpoints else "")


class DataLayer(Model):
    """What is known of endpoints."""

    inject_defaults: bool = True
    """Scraping is always on here."""
    sources: tuple[Source, ...] = ()
    """Their parameters are taken over into `epp.scraping`."""
    discovery: Discovery | None = None
    peer_discovery: Ref | None = None
    """Has no effect: replicas share nothing."""
    cross_replica_syncer_plugin_ref: str = ""
    """Has no effect likewise."""
    cross_replica_sync_interval: Duration | None = None
    """Has no effect likewise."""


class PriorityBand(Model):
    """Limits of one priority."""

    priority: int = 0
    """Of the requests that it is for."""
    max_bytes: Quantity | None = None
    """Bytes that may wait."""
    max_requests: Quantity | None = None
    """Requests that may wait."""
    fairness_policy_ref: str = ""
    """Which flow comes next."""
    ordering_policy_ref: str = ""
    """Which request of a flow comes next."""


class OptionalRef(Model):
    """A reference to a plugin; without one the default is meant."""

    plugin_ref: str = ""
    """Its name."""


class OldSaturationDetector(OptionalRef):
    """How saturation was measured before there were plugins for it. Has no effect: there are no queues."""

    queue_depth_threshold: int | None = None
    """Waiting requests of an endpoint."""
    kv_cache_util_threshold: float | None = None
    """Share of its KV cache."""
    metrics_staleness_threshold: Duration | None = None
    """Age of its metrics."""

    def old_keys(self) -> tuple[str, ...]:
        """Those that are given."""
        return tuple(self.model_dump(by_alias=True, exclude_none=True, exclude={"plugin_ref"}))


class FlowControl(Model):
    """Queues in front of the pool. Has no effect: every request is placed, or refused, at once."""

    max_bytes: Quantity | None = None
    """Bytes that may wait, all together."""
    max_requests: Quantity | None = None
    """Requests that may wait, all together."""
    default_request_ttl: Annotated[Duration | None, Field(alias="defaultRequestTTL")] = None
    """Longest wait."""
    no_endpoint_request_ttl: Annotated[Duration | None, Field(alias="noEndpointRequestTTL")] = None
    """Longest wait while there are no endpoints."""
    enable_eviction: bool = False
    """End requests of low priority for those of high priority."""
    default_priority_band: PriorityBand | None = None
    """For priorities without a band of their own."""
    default_negative_priority_band: PriorityBand | None = None
    """For negative priorities without a band of their own."""
    priority_bands: tuple[PriorityBand, ...] = ()
    """Bands by priority."""
    usage_limit_policy_plugin_ref: str = ""
    """From which saturation on requests wait."""
    saturation_detector: OptionalRef | None = None
    """How saturation is measured."""


class EndpointPickerConfig(Model):
    """The whole file."""

    api_version: Literal["llm-d.ai/v1alpha1", "llm-d.ai/v1", "inference.networking.x-k8s.io/v1alpha1"] | None = None
    """`llm-d.ai/v1alpha1` or `llm-d.ai/v1`; the group `inference.networking.x-k8s.io` is the old one."""
    kind: Literal["EndpointPickerConfig"] | None = None
    """`EndpointPickerConfig`."""
    feature_gates: tuple[str, ...] = ()
    """`name`, `name=true` or `name=false`. None has an effect here."""
    plugins: tuple[PluginEntry, ...] = ()
    """Plugins by name; a profile refers to them."""
    scheduling_profiles: tuple[ProfileEntry, ...] = ()
    """How an endpoint is chosen. None: by `least-work-cost`, or by all plugins listed when there are scorers."""
    request_handler: RequestHandler = RequestHandler()
    data_layer: DataLayer = DataLayer()
    discovery: Discovery | None = None
    """As `dataLayer.discovery`."""
    flow_control: FlowControl | None = None
    saturation_detector: OldSaturationDetector | None = None
    """Old place of `flowControl.saturationDetector`."""
    parser: Ref | None = None
    """Old place of `requestHandler.parsers`."""
    epp: EppSection = EppSection()


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """A valid part of the file, with its node and path."""

    value: T
    node: Node
    key: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What a file says, as far as its parts are valid."""

    rest: EndpointPickerConfig
    """All but plugins, profiles and `epp`."""
    root: Node
    plugins: tuple[Written[PluginEntry], ...] = ()
    profiles: tuple[Written[ProfileEntry], ...] = ()
    epp: Node | None = None

    def claimed_names(self) -> frozenset[str]:
        """Names of all plugin entries, the faulty ones included: a reference to one is no second fault."""
        entries = (self.root.child("plugins") or self.root).items()
        named = (entry.child("name") or entry.child("type") for entry in entries)
        return frozenset(node.value for node in named if node and isinstance(node.value, str))

    def place_of(self, *steps: Step) -> Place:
        """Where a value was written, or the nearest thing around it."""
        return find(self.root, steps)[0]


def read_parts(root: Node, findings: Findings) -> WrittenFile:
    """Checks a document part by part; faults go to `findings`."""
    if not isinstance(root.value, dict):
        findings.errors.append(
            Problem(root.place, "", f"must be a mapping with the key kind, found {found_text(root)}")
        )
        return WrittenFile(EndpointPickerConfig(), root)
    epp = root.child("epp")
    rest: dict[str, object] = {}
    for alias, node in root.value.items():
        if len(findings.errors) > MAX_FAULTS:
            break
        if alias in ("plugins", "schedulingProfiles") and isinstance(node.value, list):
            continue
        if alias == "epp" and isinstance(node.value, dict):
            continue
        part = validate(EndpointPickerConfig, Node({alias: node}, root.place, keys=root.keys), "", findings)
        if part:
            rest.update((name, getattr(part, name)) for name in part.model_fields_set)
    return WrittenFile(
        EndpointPickerConfig.model_construct(None, **rest),
        root,
        tuple(_items(PluginEntry, root, "plugins", findings)),
        tuple(_items(ProfileEntry, root, "schedulingProfiles", findings)),
        epp if epp and isinstance(epp.value, dict) else None,
    )


def _items(model: type[T], root: Node, key: str, findings: Findings) -> Iterator[Written[T]]:
    for index, item in enumerate((root.child(key) or root).items()):
        path = key_of(key, index)
        if index >= MAX_ENTRIES:
            findings.errors.append(Problem(item.place, path, f"is one too many: at most {MAX_ENTRIES} are read"))
            break
        if value := validate(model, item, path, findings):
            yield Written(value, item, path)

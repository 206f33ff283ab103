"""What a configuration file may name: the one list of what is built in, and of what the Go picker has beside it.

Classes are named by import path and imported when they are used. Three kinds of types:
- `BUILT_IN`: plugins of a profile, by what they can do there;
- `BUILT_IN_ROLES`: always on, or configured elsewhere; the file's parameters are read, no plugin is made of them;
- `ABSENT`: known and not here; each with what happens instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from types import MappingProxyType

__all__ = ["ABSENT", "BUILT_IN", "BUILT_IN_ROLES", "BuiltIn", "Kind", "Role", "kinds_of", "load_class"]

_HERE = "epp.scheduling.plugins"


class Kind(Enum):
    """Where a plugin can stand in a profile; the value says which method makes it so."""

    FILTER = ("keep",)
    SCORER = ("score",)
    COST = ("cost",)
    PICKER = ("pick",)
    HOOK = ("placed", "replied", "finished")


def kinds_of(plugin: type) -> frozenset[Kind]:
    """What a class can do, by its methods."""
    return frozenset(kind for kind in Kind if any(callable(getattr(plugin, name, None)) for name in kind.value))


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A plugin of a profile."""

    path: str
    """`module:Class`."""
    kinds: frozenset[Kind]
    replaced_by: str = ""
    """The type that should be used instead, when this one is deprecated."""


@dataclass(frozen=True, slots=True)
class Role:
    """Something that is always on or configured elsewhere."""

    parameters: str
    """`module:Class` of the dataclass with its parameters."""
    note: str
    """What does it here, in one sentence."""
    replaced_by: str = ""


def load_class(path: str) -> type:
    """The class that `module:Class` names. Raises ValueError when the path names none, ImportError from the import."""
    module, _, name = path.partition(":")
    if not module or module.startswith(".") or not name:
        raise ValueError(f"{path!r} is not of the form module:Class")
    found = getattr(import_module(module), name, None)
    if not isinstance(found, type):
        raise ValueError(f"{path!r} names no class: {module} has no class {name}")
    return found


def _built_in(module: str, *kinds: Kind, replaced_by: str = "") -> BuiltIn:
    return BuiltIn(f"{_HERE}.{module}", frozenset(kinds), replaced_by)


BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType(
    {
        "active-request-scorer": _built_in("active_request:ActiveRequestScorer", Kind.SCORER),
        "bounded-load-hash-cost": _built_in("bounded_load_hash:BoundedLoadHashCost", Kind.COST),
        "by-label": _built_in("by_label:ByLabelFilter", Kind.FILTER, replaced_by="label-selector-filter"),
        "by-label-selector": _built_in(
            "label_selector:LabelSelectorFilter", Kind.FILTER, replaced_by="label-selector-filter"
        ),
        "concurrency-detector": _built_in("concurrency_detector:ConcurrencyDetector", Kind.FILTER),
        "context-length-aware": _built_in("context_length_aware:ContextLengthAware", Kind.FILTER, Kind.SCORER),
        "decode-filter": _built_in("by_label:DecodeFilter", Kind.FILTER),
        "destination-endpoint-served-verifier": _built_in(
            "served_verifier:DestinationEndpointServedVerifier", Kind.HOOK
        ),
        "dynamo-cost": _built_in("dynamo:DynamoCost", Kind.COST),
        "encode-filter": _built_in("by_label:EncodeFilter", Kind.FILTER),
        "header-based-testing-filter": _built_in("header_based_testing:HeaderBasedTestingFilter", Kind.FILTER),
        "header-label-affinity-scorer": _built_in("header_label_affinity:HeaderLabelAffinityScorer", Kind.SCORER),
        "kv-cache-scorer": _built_in(
            "kv_cache_utilization:KvCacheUtilizationScorer", Kind.SCORER, replaced_by="kv-cache-utilization-scorer"
        ),
        "kv-cache-utilization-scorer": _built_in("kv_cache_utilization:KvCacheUtilizationScorer", Kind.SCORER),
        "label-selector-filter": _built_in("label_selector:LabelSelectorFilter", Kind.FILTER),
        "least-requests-cost": _built_in("least_requests:LeastRequestsCost", Kind.COST),
        "least-uncached-work-cost": _built_in("least_uncached_work:LeastUncachedWorkCost", Kind.COST),
        "least-work-cost": BuiltIn("epp.scheduling.cost:LeastWorkCost", frozenset({Kind.COST})),
        "lmetric-cost": _built_in("lmetric:LMetricCost", Kind.COST, Kind.HOOK),
        "load-aware-scorer": _built_in("load_aware:LoadAwareScorer", Kind.SCORER),
        "longest-prefix-cost": _built_in("longest_prefix:LongestPrefixCost", Kind.COST),
        "lora-affinity-scorer": _built_in("lora_affinity:LoraAffinityScorer", Kind.SCORER),
        "max-score-picker": BuiltIn("epp.scheduling.pickers:MaxScorePicker", frozenset({Kind.PICKER})),
        "mm-embeddings-cache-scorer": _built_in("mm_embeddings_cache:MmEmbeddingsCacheScorer", Kind.SCORER, Kind.HOOK),
        "no-hit-lru-scorer": _built_in("no_hit_lru:NoHitLruScorer", Kind.SCORER, Kind.HOOK),
        "prefill-filter": _built_in("by_label:PrefillFilter", Kind.FILTER),
        "prefix-cache-affinity-filter": _built_in("prefix_cache_affinity:PrefixCacheAffinityFilter", Kind.FILTER),
        "prefix-cache-scorer": _built_in("prefix_cache:PrefixCacheScorer", Kind.SCORER),
        "queue-scorer": _built_in("queue:QueueScorer", Kind.SCORER),
        "ramjet-cost": _built_in("ramjet:RamjetCost", Kind.COST),
        "random-picker": BuiltIn("epp.scheduling.pickers:RandomPicker", frozenset({Kind.PICKER})),
        "rendezvous-picker": BuiltIn("epp.scheduling.pickers:RendezvousPicker", frozenset({Kind.PICKER})),
        "round-robin-picker": _built_in("round_robin:RoundRobinPicker", Kind.PICKER, Kind.HOOK),
        "running-requests-size-scorer": _built_in("running_requests:RunningRequestsSizeScorer", Kind.SCORER),
        "session-affinity-filter": _built_in("session_affinity:SessionAffinityFilter", Kind.FILTER, Kind.HOOK),
        "session-affinity-scorer": _built_in("session_affinity:SessionAffinityScorer", Kind.SCORER, Kind.HOOK),
        "softmax-picker": _built_in("softmax:SoftmaxPicker", Kind.PICKER),
        "token-load-scorer": _built_in("token_load:TokenLoadScorer", Kind.SCORER),
        "two-tier-cost": _built_in("two_tier:TwoTierCost", Kind.COST),
        "utilization-detector": _built_in("utilization_detector:UtilizationDetector", Kind.FILTER),
        "utilization-filter": _built_in("utilization_filter:UtilizationFilter", Kind.FILTER),
        "weighted-random-picker": BuiltIn("epp.scheduling.pickers:WeightedRandomPicker", frozenset({Kind.PICKER})),
    }
)
"""Plugins of a profile by type. Ours: all costs, and the pickers by rendezvous, round robin and softmax."""


def _role(parameters: str, note: str, replaced_by: str = "") -> Role:
    return Role(f"{_HERE}.data_layer:{parameters}", note, replaced_by)


_PARSED = "requests are read by path, whatever parsers are named"
_LENGTHS = "the length of prompts is learned per model from their bytes"

BUILT_IN_ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "anthropic-parser": _role("NoParameters", _PARSED),
        "approx-prefix-cache-producer": _role(
            "ApproxPrefixCacheProducer", "prefixes are always matched, by one index within a budget of bytes"
        ),
        "core-metrics-extractor": _role("CoreMetricsExtractor", "metric names are part of the scraping settings"),
        "endpoint-notification-source": _role(
            "NoParameters", "whatever depends on endpoints is always told when they come and go"
        ),
        "file-discovery": _role("FileDiscovery", "a file is one of the sources of endpoints"),
        "inflight-load-producer": _role(
            "InflightLoadProducer", "work in flight is always counted, from the decision on"
        ),
        "metrics-data-source": _role("MetricsDataSource", "metrics pages are part of the scraping settings"),
        "mm-embeddings-cache-producer": _role(
            "MmEmbeddingsCacheProducer", "mm-embeddings-cache-scorer keeps the record itself"
        ),
        "models-data-extractor": _role("NoParameters", "model lists are always used where they are read"),
        "models-data-source": _role("ModelsDataSource", "model lists are part of the scraping settings"),
        "openai-parser": _role("NoParameters", _PARSED),
        "passthrough-parser": _role("NoParameters", _PARSED),
        "session-id-producer": _role(
            "SessionIdProducer", "the session plugins read the id themselves, from a header or a cookie"
        ),
        "single-profile-handler": _role("NoParameters", "one profile places all requests"),
        "token-producer": _role("TokenProducer", _LENGTHS),
        "tokenizer": _role("TokenProducer", _LENGTHS, replaced_by="token-producer"),
        "vllmhttp-parser": _role("NoParameters", _PARSED),
    }
)
"""What is always on or configured elsewhere, by the Go picker's type."""


def _absent(sentences: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """By type; several types that share a sentence stand in one row, with blanks."""
    return MappingProxyType({name: sentence for names, sentence in sentences for name in names.split()})


_ONE_STAGE = "each request goes to one endpoint, which does prefill and decode; nothing is disaggregated"
_NO_PREDICTOR = "latency is not predicted; load and cache decide, and time to first token is estimated from work ahead"
_NO_ATTRIBUTES = "endpoints have no attributes beside the metrics that are built in, so it plays no part"
_NO_CLUSTERS = "candidates are model servers, not clusters; it plays no part"
_NO_QUEUE = "requests are not queued: each is placed at once, so there is nothing to order, hold back or evict"
_OPAQUE = "such requests are opaque: they are placed by load, without reading their body"

ABSENT: Mapping[str, str] = _absent(
    [
        # Parsers.
        ("sglanghttp-parser vllmgrpc-parser vertexai-parser", _OPAQUE),
        # Profile handlers and deciders.
        ("header-profile-handler", "one profile places all requests, whatever their headers"),
        ("data-parallel-profile-handler", "each rank is an endpoint of its own and is picked directly"),
        ("disagg-profile-handler pd-profile-handler disagg-headers-handler prefill-header-handler", _ONE_STAGE),
        ("prefix-based-pd-decider always-disagg-pd-decider always-disagg-multimodal-decider", _ONE_STAGE),
        # Scorers.
        ("precise-prefix-cache-scorer", "it plays no part; prefix-cache-scorer matches prefixes by our own index"),
        ("latency-scorer", _NO_PREDICTOR),
        ("endpoint-attribute-scorer", _NO_ATTRIBUTES),
        ("topology-affinity-scorer", _ONE_STAGE),
        ("lmetric-scorer", "it plays no part; lmetric-cost is that rule as a cost, which stands in place of scorers"),
        ("multicluster-queue-scorer multicluster-kv-cache-utilization-scorer", _NO_CLUSTERS),
        ("multicluster-prefix-cache-scorer", _NO_CLUSTERS),
        # Filters.
        ("multicluster-session-affinity-filter", _NO_CLUSTERS),
        ("endpoint-attribute-filter", _NO_ATTRIBUTES),
        ("topology-affinity-filter", _ONE_STAGE),
        ("slo-headroom-tier-filter", _NO_PREDICTOR),
        # Screeners, request headers, admitters, reporters, responders.
        (
            "disaggregatedset-rollout-screener disaggregatedset-rollout-pod-extractor",
            "all ready endpoints are candidates, of whatever revision",
        ),
        ("agent-identity", "sessions are known by a header or a cookie; those of agents' own headers are not read"),
        ("outlen-bucket", "the length of answers is learned per model"),
        ("latency-slo-admitter", _NO_PREDICTOR),
        ("probabilistic-admitter", "no request is refused at random; utilization-filter can refuse those beyond a cap"),
        ("request-attribute-reporter", "no dynamic metadata about usage is sent to the proxy"),
        ("models-responder", "lists of models come from the model servers, as any other reply"),
        # Producers.
        ("precise-prefix-cache-producer", "prefixes are matched by the approximate index"),
        ("burst-prefix-cache-producer", "decisions count at once, so that a burst's requests see each other's prefix"),
        ("p2p-source-producer", "no peer is named from which to pull KV blocks"),
        ("predicted-latency-producer", _NO_PREDICTOR),
        ("multicluster-approx-prefix-cache-producer", _NO_CLUSTERS),
        # Flow control.
        ("global-strict-fairness-policy round-robin-fairness-policy program-aware-fairness", _NO_QUEUE),
        ("fcfs-ordering-policy edf-ordering-policy slo-deadline-ordering-policy", _NO_QUEUE),
        ("static-usage-limit-policy priority-holdback-policy soft-reflective-ceiling-policy", _NO_QUEUE),
        ("sheddable-eviction-filter priority-then-time-eviction-order-policy", _NO_QUEUE),
        # Data layer.
        ("dcgm-data-source dcgm-extractor", "GPU metrics are not read; the model servers' own are"),
        ("topology-extractor", _ONE_STAGE),
        ("k8s-notification-source", "no Kubernetes objects are watched"),
        ("multicluster-metrics-data-source multicluster-metrics-extractor", _NO_CLUSTERS),
        ("multicluster-file-discovery", _NO_CLUSTERS),
    ]
)
"""Types of the Go picker that are not here: what happens instead, for people."""

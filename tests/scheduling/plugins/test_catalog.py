from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

import epp.scheduling.plugins
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES, Kind, kinds_of, load_class
from epp.scheduling.plugins.validation import key_of

GO_PARAMETERS: Mapping[str, str] = {
    "active-request-scorer": "requestTimeout idleThreshold maxBusyScore inFlightLoadProducerName",
    "approx-prefix-cache-producer": "autoTune blockSizeTokens blockSize maxPrefixBlocksToMatch maxPrefixTokensToMatch"
    " lruCapacityPerServer",
    "by-label": "label validValues allowsNoLabel",
    "by-label-selector": "matchLabels matchExpressions",
    "concurrency-detector": "maxConcurrency headroom concurrencyMode maxTokenConcurrency inFlightLoadProducerName",
    "context-length-aware": "label enableFiltering",
    "core-metrics-extractor": "engineLabelKey defaultEngine engineConfigs",
    "file-discovery": "path watchFile",
    "header-label-affinity-scorer": "headerName labelKey",
    "inflight-load-producer": "addEstimatedOutputTokens outputRatio maxEstimatedOutputTokens"
    " prefixMatchInfoProducerName syncCrossReplicaState",
    "label-selector-filter": "matchLabels matchExpressions",
    "load-aware-scorer": "threshold",
    "max-score-picker": "maxNumOfEndpoints",
    "metrics-data-source": "scheme path port insecureSkipVerify caCertPath clientCertPath clientKeyPath interval",
    "mm-embeddings-cache-producer": "cacheSizeInMBPerServer encodeProfile",
    "models-data-source": "scheme path insecureSkipVerify caCertPath clientCertPath clientKeyPath interval",
    "no-hit-lru-scorer": "lruSize prefixMatchInfoProducerName prefixPluginType prefixPluginName",
    "prefix-cache-affinity-filter": "affinityThreshold explorationProbability maxTTFTPenaltyMs ttftSource"
    " peakPrefillThroughput prefixMatchInfoProducerName latencyPredictionInfoProducerName inFlightLoadProducerName",
    "prefix-cache-scorer": "matchLengthWeight matchLengthScaleTokens prefixMatchInfoProducerName "
    "lruCapacityPerServer hashBlockSize blockSize maxPrefixBlocksToMatch autoTune",
    "random-picker": "maxNumOfEndpoints",
    "session-affinity-filter": "strategy profileName encodedEndpointHeaderConfig sessionIdConfig",
    "session-affinity-scorer": "strategy profileName encodedEndpointHeaderConfig sessionIdConfig",
    "session-id-producer": "headerName cookieName lruSize ttl",
    "token-load-scorer": "queueThresholdTokens inFlightLoadProducerName",
    "token-producer": "modelName estimate vllm udsTokenizerConfig",
    "tokenizer": "modelName estimate vllm udsTokenizerConfig",
    "utilization-detector": "queueDepthThreshold kvCacheUtilThreshold metricsStalenessThreshold stalenessPolicy"
    " headroom inFlightLoadProducerName",
    "utilization-filter": "conditions fallbackOnEmpty inFlightLoadProducerName",
    "weighted-random-picker": "maxNumOfEndpoints",
}
"""Keys as the Go picker spells them; types that are not named have none."""

OURS: Mapping[str, set[str]] = {"mm-embeddings-cache-scorer": {"cacheSizeInMBPerServer"}}
"""Keys that we add."""

OUR_TYPES = {name for name, built_in in BUILT_IN.items() if Kind.COST in built_in.kinds} | {
    "rendezvous-picker",
    "round-robin-picker",
    "softmax-picker",
}
"""The Go picker has no costs."""

PARAMETERS = {name: built_in.path for name, built_in in BUILT_IN.items()} | {
    name: role.parameters for name, role in BUILT_IN_ROLES.items()
}


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - OUR_TYPES))
def test_parameters_are_spelled_as_in_the_go_picker(name: str) -> None:
    keys = {key_of(one) for one in fields(load_class(PARAMETERS[name])) if one.init}
    assert keys == set(GO_PARAMETERS.get(name, "").split()) | OURS.get(name, set())


@pytest.mark.parametrize("name", BUILT_IN)
def test_kinds_are_those_that_the_class_has_methods_for(name: str) -> None:
    assert kinds_of(load_class(BUILT_IN[name].path)) == BUILT_IN[name].kinds


def test_no_type_is_in_two_lists() -> None:
    names = [*BUILT_IN, *BUILT_IN_ROLES, *ABSENT]
    assert len(names) == len(set(names))


def test_replacements_are_there() -> None:
    for entries in (BUILT_IN, BUILT_IN_ROLES):
        for name, entry in entries.items():
            assert not entry.replaced_by or entry.replaced_by in entries, name


def test_every_plugin_of_this_package_is_listed() -> None:
    """A module that defines a plugin and is not in the list would be dead code."""
    listed = {built_in.path.partition(":")[0].rpartition(".")[2] for built_in in BUILT_IN.values()}
    shared = {"__init__", "catalog", "data_layer", "sessions", "spec_column", "validation"}
    modules = {path.stem for path in Path(epp.scheduling.plugins.__file__).parent.glob("*.py")}
    assert modules - shared <= listed


@pytest.mark.parametrize("sentence", [*ABSENT.values(), *(role.note for role in BUILT_IN_ROLES.values())])
def test_sentences_fit_behind_a_colon(sentence: str) -> None:
    assert not sentence.endswith(".")
    assert 20 < len(sentence) < 110


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("epp.scheduling.plugins.queue", "is not of the form module:Class"),
        (":Class", "is not of the form module:Class"),
        (".queue:QueueScorer", "is not of the form module:Class"),
        ("epp.scheduling.plugins.queue:", "is not of the form module:Class"),
        ("epp.scheduling.plugins.queue:Missing", "has no class Missing"),
        ("epp.scheduling.plugins.queue:falling", "has no class falling"),
    ],
)
def test_a_path_that_names_no_class_says_so(path: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        load_class(path)


def test_a_class_can_be_of_several_kinds() -> None:
    class Everything:
        keep = score = cost = pick = finished = lambda self: None

    assert kinds_of(Everything) == set(Kind)

"""Every plugin of the catalog against what its kind promises."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import pytest
from pydantic import TypeAdapter

from epp.scheduling.plugins.catalog import BUILT_IN, BUILT_IN_ROLES, Kind, load_class
from epp.scheduling.plugins.validation import Remarking
from tests.scheduling.plugins.contract import check_cost, check_filter, check_picker, check_scorer

REQUIRED: Mapping[str, Mapping[str, object]] = {
    "by-label": {"label": "n", "valid_values": ["1"]},
    "file-discovery": {"path": "endpoints.yaml"},
    "header-label-affinity-scorer": {"header_name": "X-Session-Id", "label_key": "n"},
    "utilization-filter": {"conditions": [{"metric": "waiting-queue", "max_value": 5}]},
}
"""Parameters without which a plugin cannot be made."""

VARIANTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    *((name, REQUIRED.get(name, {})) for name in BUILT_IN),
    ("active-request-scorer", {"idle_threshold": 500, "max_busy_score": 0.5}),
    ("concurrency-detector", {"concurrency_mode": "hybrid", "max_concurrency": 1, "max_token_concurrency": 1}),
    ("context-length-aware", {"enable_filtering": True}),
    (
        "dynamo-cost",
        {"overlap_score_credit": 1.5, "overlap_score_credit_decay": 0.5, "decode_active_request_weight": 1},
    ),
    ("label-selector-filter", {"match_labels": {"n": "1"}, "match_expressions": [{"key": "m", "operator": "Exists"}]}),
    ("lmetric-cost", {"class_prefix_blocks": 2}),
    ("lmetric-cost", {"hotspot_detection": False}),
    ("lmetric-cost", {"window_requests": 1}),
    ("load-aware-scorer", {"threshold": 1}),
    ("max-score-picker", {"max_num_of_endpoints": 3}),
    ("mm-embeddings-cache-scorer", {"cache_size_in_mb_per_server": 1}),
    ("no-hit-lru-scorer", {"lru_size": 1}),
    ("prefix-cache-affinity-filter", {"exploration_probability": 0.5, "max_ttft_penalty_ms": 1}),
    ("prefix-cache-affinity-filter", {"max_ttft_penalty_ms": 0, "affinity_threshold": 1}),
    ("prefix-cache-affinity-filter", {"peak_prefill_throughput": 1, "ttft_source": "latencyPredictor"}),
    ("prefix-cache-scorer", {"match_length_weight": 1, "match_length_scale_tokens": 1}),
    ("ramjet-cost", {"basis": "relative", "affinity_block_bytes": 1, "max_load_units": 1}),
    ("rendezvous-picker", {"max_num_of_endpoints": 3}),
    ("round-robin-picker", {"max_num_of_endpoints": 3}),
    ("session-affinity-filter", {"strategy": "session_id"}),
    ("session-affinity-scorer", {"strategy": "session_id", "session_id_config": {"sources": [{"cookie": "c"}]}}),
    ("softmax-picker", {"temperature": 1, "max_num_of_endpoints": 3}),
    ("token-load-scorer", {"queue_threshold_tokens": 1}),
    ("two-tier-cost", {"cache_threshold": 0, "balance_abs_threshold": 1e9}),
    ("utilization-detector", {"headroom": 10}),
    ("utilization-filter", {"conditions": [{"metric": "kv-cache-utilization", "max_value": 0}]}),
    (
        "utilization-filter",
        {
            "conditions": [
                {"metric": "running-requests", "max_value": 0},
                {"metric": "active-requests", "max_value": 0},
            ],
            "fallback_on_empty": True,
        },
    ),
)
IDS = [f"{name}-{number}" for number, (name, _) in enumerate(VARIANTS)]


def make(name: str, parameters: Mapping[str, object]) -> object:
    return TypeAdapter(load_class(BUILT_IN[name].path)).validate_python(dict(parameters))


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=IDS)
def test_plugins_keep_to_the_contract_of_their_kinds(name: str, parameters: Mapping[str, object]) -> None:
    if Kind.SCORER in BUILT_IN[name].kinds:
        check_scorer(lambda: make(name, parameters))
    if Kind.FILTER in BUILT_IN[name].kinds:
        check_filter(lambda: make(name, parameters))
    if Kind.COST in BUILT_IN[name].kinds:
        check_cost(lambda: make(name, parameters))
    if Kind.PICKER in BUILT_IN[name].kinds:
        check_picker(lambda: make(name, parameters))


@pytest.mark.parametrize("name", BUILT_IN)
def test_plugins_are_made_alike_by_validation_and_by_hand(name: str) -> None:
    plugin_class = load_class(BUILT_IN[name].path)
    validated = make(name, REQUIRED.get(name, {}))
    by_hand = plugin_class(**{one.name: getattr(validated, one.name) for one in fields(plugin_class) if one.init})
    assert repr(by_hand) == repr(validated)


@pytest.mark.parametrize("name", BUILT_IN)
def test_two_plugins_share_nothing(name: str) -> None:
    """What one was told is not known to the other: there is no state outside of the objects."""
    first, second = (make(name, REQUIRED.get(name, {})) for _ in range(2))
    private = [one.name for one in fields(first) if not one.init]
    for field in private:
        one, other = getattr(first, field), getattr(second, field)
        assert one is not other or isinstance(one, int | tuple | None)


@pytest.mark.parametrize("name", BUILT_IN)
def test_defaults_call_for_no_remarks(name: str) -> None:
    plugin = make(name, REQUIRED.get(name, {}))
    assert not isinstance(plugin, Remarking) or plugin.remarks() == ()


@pytest.mark.parametrize("name", BUILT_IN_ROLES)
def test_parameters_of_roles_have_defaults(name: str) -> None:
    parameters = load_class(BUILT_IN_ROLES[name].parameters)
    assert is_dataclass(parameters)
    default = TypeAdapter(parameters).validate_python(dict(REQUIRED.get(name, {})))
    assert not isinstance(default, Remarking) or default.remarks() == ()

"""Objectives and rewrites of the older group."""

import pytest
import yaml

from tests.manifests.migrating import NEW_GROUP, OLD_GROUP, migrated, old
from tests.manifests.schemas import faults

POOL = {"group": NEW_GROUP, "kind": "InferencePool", "name": "p"}


@pytest.mark.parametrize("group", ["", f"group: {OLD_GROUP}, ", f"group: {NEW_GROUP}, "])
def test_an_objective_changes_its_group_and_that_of_its_pool(group: str) -> None:
    made = migrated(old("InferenceObjective", f"{{priority: -10, poolRef: {{{group}name: p}}}}"))
    (resource,) = made.resources
    assert faults(resource) == []
    assert resource["apiVersion"] == "llm-d.ai/v1alpha2"
    assert resource["spec"] == {"priority": -10, "poolRef": POOL}
    assert (made.errors, made.lost, made.notes) == ([], [], [])


def test_an_objective_without_priority_has_none() -> None:
    (resource,) = migrated(old("InferenceObjective", "{poolRef: {name: p}}")).resources
    assert resource["spec"] == {"poolRef": POOL}


def test_a_candidate_had_criticality() -> None:
    made = migrated(old("InferenceObjective", "{criticality: Critical, poolRef: {name: p}}"))
    assert made.resources[0]["spec"]["priority"] == 2
    assert made.lost == []
    assert made.notes == ["4: InferenceObjective a: spec.criticality: Critical became priority 2"]


def test_keys_that_no_objective_has_are_named() -> None:
    made = migrated(old("InferenceObjective", "{priority: 1, poolRef: {name: p}, targetModels: [{name: x}]}"))
    assert faults(made.resources[0]) == []
    assert made.lost == ["4: InferenceObjective a: spec.targetModels: objectives have nothing like it"]


WRONG = {
    "a priority that is text": ("{priority: '1', poolRef: {name: p}}", "spec.priority: must be a whole number"),
    "a priority of 64 bits": ("{priority: 2147483648, poolRef: {name: p}}", "spec.priority: must be a whole number"),
    "a criticality": ("{criticality: 1, poolRef: {name: p}}", "spec.criticality: must be Critical"),
    "no pool": ("{priority: 1}", "spec.poolRef.name: is missing"),
}


@pytest.mark.parametrize(("spec", "text"), WRONG.values(), ids=WRONG)
def test_what_is_not_valid_is_an_error(spec: str, text: str) -> None:
    assert any(text in error for error in migrated(old("InferenceObjective", spec)).errors)


def test_a_rewrite_keeps_its_rules() -> None:
    rules = (
        "[{matches: [{model: {value: a}}], targets: [{modelRewrite: b, weight: 1}]}, {targets: [{modelRewrite: c}]}]"
    )
    made = migrated(old("InferenceModelRewrite", f"{{poolRef: {{group: {OLD_GROUP}, name: p}}, rules: {rules}}}"))
    (resource,) = made.resources
    assert faults(resource) == []
    assert resource["apiVersion"] == "llm-d.ai/v1alpha2"
    assert resource["spec"] == {"poolRef": POOL, "rules": yaml.safe_load(rules)}
    assert (made.errors, made.lost) == ([], [])


def test_a_rewrite_without_rules_is_an_error() -> None:
    assert "spec.rules: is missing" in migrated(old("InferenceModelRewrite", "{poolRef: {name: p}}")).errors[0]

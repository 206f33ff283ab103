"""InferenceModels as objectives and rewrites."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.manifests.models import PRIORITIES
from tests.manifests.migrating import NEW_GROUP, Migrated, migrated, old
from tests.manifests.schemas import faults

POOL = {"group": NEW_GROUP, "kind": "InferencePool", "name": "p"}


def model(spec: str, name: str = "a") -> Migrated:
    return migrated(old("InferenceModel", f"{{modelName: m, poolRef: {{name: p}}, {spec}}}", name=name))


def made_of(made: Migrated) -> dict[str, Any]:
    """Specs by kind."""
    assert [faults(resource) for resource in made.resources] == [[]] * len(made.resources)
    assert {resource["metadata"]["name"] for resource in made.resources} == {"a"}
    return {resource["kind"]: resource["spec"] for resource in made.resources}


@pytest.mark.parametrize(("criticality", "priority"), PRIORITIES.items())
def test_criticality_becomes_priority(criticality: str, priority: int) -> None:
    made = model(f"criticality: {criticality}")
    assert made_of(made) == {"InferenceObjective": {"priority": priority, "poolRef": POOL}}


def test_the_order_of_criticalities_is_that_of_priorities() -> None:
    """And only what is sheddable has one below that of requests without objective, which alone may be refused."""
    assert PRIORITIES["Critical"] > PRIORITIES["Standard"] == PRIORITIES["Default"] > 0 > PRIORITIES["Sheddable"]


def test_that_requests_must_name_the_objective_is_said() -> None:
    (said,) = model("criticality: Critical").lost
    assert said.startswith("4: InferenceModel a: spec.criticality: Critical became priority 2")
    assert "those for 'm' must send `x-gateway-inference-objective: a`, else they have priority 0" in said


def test_a_model_without_criticality_was_standard() -> None:
    made = model("targetModels: []")
    assert made_of(made)["InferenceObjective"]["priority"] == PRIORITIES["Standard"]
    assert "Standard (none is written) became priority 1" in made.lost[0]


REWRITES: dict[str, tuple[str, Any]] = {
    "another name": ("[{name: x}]", [{"modelRewrite": "x"}]),
    "another name with weight": ("[{name: x, weight: 100}]", [{"modelRewrite": "x", "weight": 100}]),
    "a split": (
        "[{name: x, weight: 9}, {name: y, weight: 1}]",
        [{"modelRewrite": "x", "weight": 9}, {"modelRewrite": "y", "weight": 1}],
    ),
    "a split in halves": ("[{name: x}, {name: y}]", [{"modelRewrite": "x"}, {"modelRewrite": "y"}]),
    "weight 0 gets nothing": ("[{name: x, weight: 0}, {name: y, weight: 2}]", [{"modelRewrite": "y", "weight": 2}]),
    "weights for some count as 1": (
        "[{name: x, weight: 3}, {name: y}]",
        [{"modelRewrite": "x", "weight": 3}, {"modelRewrite": "y", "weight": 1}],
    ),
    "a share keeps the name": (
        "[{name: m, weight: 3}, {name: y, weight: 1}]",
        [{"modelRewrite": "m", "weight": 3}, {"modelRewrite": "y", "weight": 1}],
    ),
    "a name that looks like a number": ("[{name: 8}]", [{"modelRewrite": "8"}]),
    "no targets": ("[]", None),
    "its own name": ("[{name: m}]", None),
    "its own name, weighted": ("[{name: m, weight: 100}]", None),
    "its own name, the other has no weight": ("[{name: m, weight: 1}, {name: x, weight: 0}]", None),
}


@pytest.mark.parametrize(("targets", "expected"), REWRITES.values(), ids=REWRITES)
def test_targets_become_a_rewrite_where_names_differ(targets: str, expected: Any) -> None:
    made = made_of(model(f"criticality: Standard, targetModels: {targets}"))
    assert ("InferenceModelRewrite" in made) == (expected is not None)
    if expected:
        assert made["InferenceModelRewrite"] == {
            "poolRef": POOL,
            "rules": [{"matches": [{"model": {"type": "Exact", "value": "m"}}], "targets": expected}],
        }


def test_a_reserved_name_is_no_longer_refused() -> None:
    made = model("criticality: Standard, targetModels: [{name: x, weight: 0}]")
    assert list(made_of(made)) == ["InferenceObjective"]
    assert len(made.lost) == 2
    assert "requests for 'm' were refused; now they go to the servers" in made.lost[1]


WRONG = {
    "no model name": ("{poolRef: {name: p}}", "spec.modelName: is missing"),
    "no pool": ("{modelName: m}", "spec.poolRef.name: is missing"),
    "an unknown criticality": ("{modelName: m, poolRef: {name: p}, criticality: High}", "spec.criticality: must be"),
    "a criticality that is a list": ("{modelName: m, poolRef: {name: p}, criticality: []}", "spec.criticality: must"),
    "targets that are none": (
        "{modelName: m, poolRef: {name: p}, targetModels: x}",
        "spec.targetModels: must be a list",
    ),
    "a target without name": (
        "{modelName: m, poolRef: {name: p}, targetModels: [{weight: 1}]}",
        "spec.targetModels[0].name: is missing",
    ),
    "a weight below 0": (
        "{modelName: m, poolRef: {name: p}, targetModels: [{name: x, weight: -1}]}",
        "spec.targetModels[0].weight: must be a number from 0 to 1000000",
    ),
    "no spec": ("", "spec.modelName: is missing"),
}


@pytest.mark.parametrize(("spec", "text"), WRONG.values(), ids=WRONG)
def test_what_the_older_schema_refused_is_an_error(spec: str, text: str) -> None:
    made = migrated(old("InferenceModel", spec))
    assert any(text in error for error in made.errors), made.errors
    assert made.resources == []


def test_a_reference_to_something_else_stays_and_is_said() -> None:
    made = migrated(old("InferenceModel", "{modelName: m, poolRef: {group: x.y, kind: Pond, name: p}}"))
    assert made.resources[0]["spec"]["poolRef"] == {"group": "x.y", "kind": "Pond", "name": "p"}
    assert any("spec.poolRef: is to no InferencePool and stays as it is" in line for line in made.lost)


def test_of_two_for_one_model_the_older_counts() -> None:
    spec = "{modelName: m, poolRef: {name: p}, criticality: %s}"
    young = old("InferenceModel", spec % "Critical", "b").replace("b}", "b, creationTimestamp: '2025-03-02T00:00:00Z'}")
    aged = old("InferenceModel", spec % "Sheddable", "c").replace("c}", "c, creationTimestamp: '2025-03-01T00:00:00Z'}")
    made = migrated(young, aged)
    assert [resource["metadata"]["name"] for resource in made.resources] == ["c"]
    assert (
        made.lost[0]
        == "1: InferenceModel b: had no effect and is left out: the model at f:6 has its model name, and counted"
    )


def test_the_same_model_name_for_another_pool_or_namespace_is_another_model() -> None:
    first = old("InferenceModel", "{modelName: m, poolRef: {name: p}}", "b")
    other_pool = old("InferenceModel", "{modelName: m, poolRef: {name: q}}", "c")
    elsewhere = first.replace("name: b", "name: b, namespace: n")
    assert len(migrated(first, other_pool, elsewhere).resources) == 3


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)
OLD_SPECS = st.fixed_dictionaries(
    {"modelName": NAMES, "poolRef": st.just({"name": "p"})},
    optional={
        "criticality": st.sampled_from(["Critical", "Standard", "Sheddable"]),
        "targetModels": st.one_of(
            st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=4),
            st.lists(st.fixed_dictionaries({"name": NAMES, "weight": st.integers(0, 1_000_000)}), max_size=4),
        ),
    },
)


@given(spec=OLD_SPECS)
def test_whatever_the_older_schema_takes_becomes_valid(spec: dict[str, Any]) -> None:
    text = yaml.safe_dump(spec, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    made = migrated(old("InferenceModel", text))
    assert made.errors == []
    made_of(made)

"""An InferenceModel becomes an InferenceObjective, and an InferenceModelRewrite where its targets have other names.

    spec.criticality: Critical             -> InferenceObjective     spec.priority: 2
    spec.modelName, spec.targetModels      -> InferenceModelRewrite  spec.rules: one exact match, targets with weights

Two things cannot be carried over. A model's requests had its criticality; an objective has to be named by each request,
in a header. And a model none of whose targets has a weight above 0 was refused; no rule says that today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from epp.documents import Node
from epp.manifests.metadata import metadata_of
from epp.manifests.names import OBJECTIVE, OBJECTIVE_API, OBJECTIVE_HEADER, OLD_GROUP, POOL_GROUP, REWRITE
from epp.manifests.nodes import at, child, fields, integer, items, mapping, number, scalar, sequence, text
from epp.manifests.pool_refs import pool_ref_of
from epp.manifests.reading import Resource
from epp.manifests.remarks import Remarks

__all__ = ["MODEL", "PRIORITIES", "UNSET_CRITICALITY", "is_model", "objects_of", "shadowed_models"]

MODEL = "InferenceModel"

PRIORITIES: Mapping[str, int] = {"Critical": 2, "Standard": 1, "Default": 1, "Sheddable": -1}
"""Critical and Standard as in the extension's guide from v1alpha2 to v1: its `base-model` and `food-review` were these.
It has nothing Sheddable: only priorities below 0 may be refused, and requests without an objective have 0. `Default` is
what v1alpha1 called Standard."""

UNSET_CRITICALITY = "Standard"
"""What a model without criticality counted as."""

MAX_WEIGHT = 1_000_000

_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_SPEC = frozenset({"criticality", "modelName", "poolRef", "targetModels"})
_NOWHERE = "neither objectives nor rewrites have anything like it"


def is_model(resource: Resource) -> bool:
    """Whether it is an InferenceModel, of whatever version."""
    return resource.kind == MODEL and resource.group in (OLD_GROUP, POOL_GROUP)


def shadowed_models(resources: Sequence[Resource]) -> dict[int, Resource]:
    """Models that had no effect, by position in `resources`: each with the one that has the same model name and pool.

    The older counted, by the time of creation. Where no times are written, the first.
    """
    models = [index for index, resource in enumerate(resources) if is_model(resource)]
    models.sort(key=lambda index: at(resources[index].root, "metadata", "creationTimestamp"))
    owners: dict[tuple[str, str, str], Resource] = {}
    shadowed = {}
    for index in models:
        resource = resources[index]
        spec = child(resource.root, "spec")
        owner = owners.setdefault((resource.namespace, at(spec, "poolRef", "name"), at(spec, "modelName")), resource)
        if owner is not resource:
            shadowed[index] = owner
    return shadowed


def objects_of(resource: Resource, remarks: Remarks) -> tuple[Node, ...]:
    """The objective, and the rewrite where one is needed; of no use when there are errors among the remarks."""
    spec = child(resource.root, "spec")
    remarks.unknown("", resource.root, _TOP, _NOWHERE)
    remarks.unknown("spec", spec, _SPEC, _NOWHERE)
    model = at(spec, "modelName")
    if not model:
        remarks.error("spec.modelName", "is missing", spec)
    metadata = metadata_of(resource, remarks)
    pool = pool_ref_of(spec, remarks)
    objective = {"priority": number(_priority(resource, model, remarks)), "poolRef": pool}
    made = [_object(OBJECTIVE, metadata, objective)]
    targets = _targets(child(spec, "targetModels"), model, remarks)
    if targets:
        matches = sequence([mapping({"model": mapping({"type": text("Exact"), "value": text(model)})})])
        rule = mapping({"matches": matches, "targets": sequence(targets)})
        made.append(_object(REWRITE, metadata, {"poolRef": pool, "rules": sequence([rule])}))
    return tuple(made)


def _object(kind: str, metadata: Node, spec: Mapping[str, Node | None]) -> Node:
    return mapping({"apiVersion": text(OBJECTIVE_API), "kind": text(kind), "metadata": metadata, "spec": mapping(spec)})


def _priority(resource: Resource, model: str, remarks: Remarks) -> int:
    node = child(child(resource.root, "spec"), "criticality")
    criticality = UNSET_CRITICALITY if node is None else scalar(node) or ""
    if criticality not in PRIORITIES:
        remarks.error("spec.criticality", "must be Critical, Standard or Sheddable", node)
        return 0
    was = f"{criticality} (none is written)" if node is None else criticality
    remarks.lost(
        "spec.criticality",
        f"{was} became priority {PRIORITIES[criticality]}, but requests no longer have it by their model: those for"
        f" {model[:256]!r} must send `{OBJECTIVE_HEADER}: {resource.name}`, else they have priority 0",
        node,
    )
    return PRIORITIES[criticality]


def _targets(node: Node | None, model: str, remarks: Remarks) -> list[Node]:
    """Targets of the rewrite; nothing where the model goes to the server under its own name."""
    if node is None or not items(node):
        if node is not None and not isinstance(node.value, list):
            remarks.error("spec.targetModels", "must be a list", node)
        return []
    weights = [_weight(index, target, remarks) for index, target in enumerate(items(node))]
    weighted = any(weight is not None for weight in weights)
    if weighted and None in weights:
        remarks.note("spec.targetModels", "weights are missing for some: they count as 1", node)
    if not any(weight is None or weight > 0 for weight in weights):
        remarks.lost(
            "spec.targetModels",
            f"no target has a weight above 0, so requests for {model[:256]!r} were refused; now they go to the servers",
            node,
        )
        return []
    made = [
        mapping(
            {
                "modelRewrite": text(at(target, "name")),
                "weight": number(1 if weight is None else weight) if weighted else None,
            }
        )
        for target, weight in zip(items(node), weights, strict=True)
        if weight != 0
    ]
    return [] if all(at(target, "modelRewrite") == model for target in made) else made


def _weight(index: int, target: Node, remarks: Remarks) -> int | None:
    """The weight of a target, None where none is written. Says what is wrong with the target."""
    path = f"spec.targetModels[{index}]"
    if not at(target, "name"):
        remarks.error(f"{path}.name", "is missing", target)
    remarks.unknown(path, target, {"name", "weight"}, _NOWHERE)
    node = fields(target).get("weight")
    if node is None or node.is_null:
        return None
    weight = integer(node, 0, MAX_WEIGHT)
    if weight is None:
        remarks.error(f"{path}.weight", f"must be a number from 0 to {MAX_WEIGHT}", node)
    return weight or 0

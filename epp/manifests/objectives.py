"""InferenceObjectives and InferenceModelRewrites of the older group become those of `llm-d.ai/v1alpha2`.

Only the group differs, and the group of the pool that they refer to. Objectives of the candidates of v1.0 had a
`criticality` instead of a priority.
"""

from __future__ import annotations

from epp.documents import Node
from epp.manifests.metadata import metadata_of
from epp.manifests.models import PRIORITIES
from epp.manifests.names import OBJECTIVE, OBJECTIVE_API, OLD_GROUP, REWRITE
from epp.manifests.nodes import child, fields, integer, items, mapping, number, scalar, text
from epp.manifests.pool_refs import pool_ref_of
from epp.manifests.reading import Resource
from epp.manifests.remarks import Remarks

__all__ = ["is_old_objective", "is_old_rewrite", "objective_of", "rewrite_of"]

MAX_PRIORITY = 2**31 - 1
_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_NOWHERE = "objectives have nothing like it"


def is_old_objective(resource: Resource) -> bool:
    """Whether it is an objective of the older group."""
    return resource.group == OLD_GROUP and resource.kind == OBJECTIVE


def is_old_rewrite(resource: Resource) -> bool:
    """Whether it is a rewrite of the older group."""
    return resource.group == OLD_GROUP and resource.kind == REWRITE


def objective_of(resource: Resource, remarks: Remarks) -> Node:
    """The objective in today's group; of no use when there are errors among the remarks."""
    spec = child(resource.root, "spec")
    remarks.unknown("", resource.root, _TOP, _NOWHERE)
    remarks.unknown("spec", spec, {"criticality", "poolRef", "priority"}, _NOWHERE)
    return mapping(
        {
            "apiVersion": text(OBJECTIVE_API),
            "kind": text(OBJECTIVE),
            "metadata": metadata_of(resource, remarks),
            "spec": mapping({"priority": _priority(spec, remarks), "poolRef": pool_ref_of(spec, remarks)}),
        }
    )


def rewrite_of(resource: Resource, remarks: Remarks) -> Node:
    """The rewrite in today's group, with the rules as they are."""
    spec = child(resource.root, "spec")
    if not items(child(spec, "rules")):
        remarks.error("spec.rules", "is missing", spec)
    remarks.unknown("", resource.root, _TOP, _NOWHERE)
    return mapping(
        {
            "apiVersion": text(OBJECTIVE_API),
            "kind": text(REWRITE),
            "metadata": metadata_of(resource, remarks),
            "spec": mapping({**fields(spec), "poolRef": pool_ref_of(spec, remarks)}),
        }
    )


def _priority(spec: Node | None, remarks: Remarks) -> Node | None:
    priority, criticality = child(spec, "priority"), child(spec, "criticality")
    if priority is not None:
        if integer(priority, -MAX_PRIORITY - 1, MAX_PRIORITY) is None:
            remarks.error("spec.priority", "must be a whole number of 32 bits", priority)
        if criticality is not None:
            remarks.lost("spec.criticality", "stands beside priority, which was taken", criticality)
        return priority
    if criticality is None:
        return None
    word = scalar(criticality) or ""
    if word not in PRIORITIES:
        remarks.error("spec.criticality", "must be Critical, Standard or Sheddable", criticality)
        return None
    remarks.note("spec.criticality", f"{word} became priority {PRIORITIES[word]}", criticality)
    return number(PRIORITIES[word])

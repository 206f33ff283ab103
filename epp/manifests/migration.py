"""Turns the older resources of the Gateway API inference extension into today's, and lets all others through.

What comes out stands in the order of what went in. What is in today's form already comes out as it went in, so that
migrating twice is migrating once. Where two resources come to have one name, the one that was in today's form counts,
else the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epp.documents import Node
from epp.manifests.findings import Finding
from epp.manifests.models import is_model, objects_of, shadowed_models
from epp.manifests.names import OBJECTIVE, OBJECTIVE_API, OLD_GROUP, POOL, POOL_API, REWRITE
from epp.manifests.nodes import at
from epp.manifests.objectives import is_old_objective, is_old_rewrite, objective_of, rewrite_of
from epp.manifests.pools import is_old_pool, pool_of
from epp.manifests.reading import MAX_BYTES, Resource
from epp.manifests.references import pointed_anew
from epp.manifests.remarks import Remarks
from epp.manifests.writing import text_size, write_document

__all__ = ["Migration", "migrate"]

SEPARATOR = "---\n"

_OLD_GROUP_TODAY = frozenset({"EndpointPickerConfig", "InferencePoolImport"})
"""Kinds of the older group that are in use as they are."""

_TODAY = frozenset({(POOL_API, POOL), (OBJECTIVE_API, OBJECTIVE), (OBJECTIVE_API, REWRITE)})

_Identity = tuple[str, str, str, str]
"""API version, kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of some resources."""

    text: str
    """All of them as YAML documents; of no use when there are errors among the findings."""
    findings: tuple[Finding, ...]
    """In the order of the resources."""
    translated: int
    """Resources in whose place others stand, or that were changed."""
    passed: int
    """Resources that went through as they are."""


class _Migrating:
    """What is known while resources are gone through in order."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self.documents: list[str] = []
        self.findings: list[Finding] = []
        self.translated = 0
        self.passed = 0
        self._taken = {_identity(one.root): one for one in reversed(resources) if _is_todays(one)}
        self._shadowed = shadowed_models(resources)

    def take(self, index: int, resource: Resource) -> None:
        """Writes what becomes of a resource."""
        remarks = Remarks(resource)
        if shadowing := self._shadowed.get(index):
            message = f"had no effect and is left out: the model at {_place(shadowing)} has its model name, and counted"
            remarks.lost("", message)
        elif (made := _translated(resource, remarks)) is not None:
            self.translated += 1
            if resource.commented:
                remarks.note("", "comments are not carried over")
            self._write_made(resource, made, remarks)
        else:
            self._pass(resource, remarks)
        self.findings.extend(remarks.found)

    def _write_made(self, resource: Resource, made: Sequence[Node], remarks: Remarks) -> None:
        if remarks.failed:
            return
        for root in made:
            other = self._taken.setdefault(_identity(root), resource)
            if other is not resource:
                remarks.lost("", f"its {at(root, 'kind')} is left out: there is one of this name, from {_place(other)}")
            else:
                self._write(root, remarks)

    def _pass(self, resource: Resource, remarks: Remarks) -> None:
        if resource.group == OLD_GROUP and resource.kind not in _OLD_GROUP_TODAY:
            remarks.lost("", f"is of a kind of {OLD_GROUP} that is not known here, and stays as it is")
        passed = pointed_anew(resource, remarks)
        if passed is resource:
            self.passed += 1
        else:
            self.translated += 1
        if passed.text is None:
            self._write(passed.root, remarks)
        else:
            self.documents.append(passed.text)

    def _write(self, root: Node, remarks: Remarks) -> None:
        if text_size(root) > MAX_BYTES:
            remarks.error("", f"is larger than {MAX_BYTES >> 20} MiB when its aliases are written out")
        else:
            self.documents.append(write_document(root))


def migrate(resources: Sequence[Resource]) -> Migration:
    """Today's form of all the resources, in order. Does not raise."""
    migrating = _Migrating(resources)
    for index, resource in enumerate(resources):
        migrating.take(index, resource)
    text = SEPARATOR.join(migrating.documents)
    return Migration(text, tuple(migrating.findings), migrating.translated, migrating.passed)


def _translated(resource: Resource, remarks: Remarks) -> tuple[Node, ...] | None:
    """What is made of an older resource; None for one that is none."""
    if is_old_pool(resource):
        return (pool_of(resource, remarks),)
    if is_model(resource):
        return objects_of(resource, remarks)
    if is_old_objective(resource):
        return (objective_of(resource, remarks),)
    return (rewrite_of(resource, remarks),) if is_old_rewrite(resource) else None


def _is_todays(resource: Resource) -> bool:
    return (resource.api_version, resource.kind) in _TODAY and not is_old_pool(resource)


def _identity(root: Node) -> _Identity:
    return at(root, "apiVersion"), at(root, "kind"), at(root, "metadata", "namespace"), at(root, "metadata", "name")


def _place(resource: Resource) -> str:
    return f"{resource.source}:{resource.line()}"

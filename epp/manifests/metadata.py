"""What of a resource's metadata a resource of another kind or group can have."""

from __future__ import annotations

import re

from epp.documents import Node
from epp.manifests.nodes import at, child, fields, mapping, scalar, text
from epp.manifests.reading import Resource
from epp.manifests.remarks import Remarks

__all__ = ["metadata_of"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_NAME = 253
"""A DNS subdomain, RFC 1123."""

_KEPT = ("name", "namespace", "labels", "annotations")

_SERVERS = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Written by the API server, for the resource that was."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the old resource, which kubectl would compare the new one with."""


def metadata_of(resource: Resource, remarks: Remarks) -> Node:
    """Name, namespace, labels and annotations. What a server wrote is left out, what people wrote is remarked on."""
    written = child(resource.root, "metadata")
    name = resource.name
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        remarks.error("metadata.name", f"{name[:80]!r} is no name of a resource", child(written, "name"))
    remarks.unknown("metadata", written, {*_KEPT, *_SERVERS}, "not kept; set it on the new resource where it is needed")
    return mapping(
        {
            "name": text(name),
            "namespace": text(resource.namespace) if resource.namespace else None,
            "labels": _texts("labels", child(written, "labels"), remarks),
            "annotations": _texts("annotations", child(written, "annotations"), remarks),
        }
    )


def _texts(key: str, node: Node | None, remarks: Remarks) -> Node | None:
    if node is None:
        return None
    if not isinstance(node.value, dict) or any(scalar(value) is None for value in node.value.values()):
        remarks.error(f"metadata.{key}", "must be a mapping of names to text", node)
    kept = {name: text(at(node, name)) for name in fields(node) if name != _LAST_APPLIED}
    return mapping(kept) if kept else None

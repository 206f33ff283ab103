"""The reference to a pool that objectives and rewrites have."""

from __future__ import annotations

from epp.documents import Node
from epp.manifests.names import OLD_GROUP, POOL, POOL_GROUP
from epp.manifests.nodes import at, child, mapping, text
from epp.manifests.remarks import Remarks

__all__ = ["pool_ref_of"]


def pool_ref_of(spec: Node | None, remarks: Remarks) -> Node:
    """`poolRef` of a spec, to the pool of today's group where it was to one of the older group or named none."""
    written = child(spec, "poolRef")
    name, group, kind = (at(written, key) for key in ("name", "group", "kind"))
    if not name:
        remarks.error("spec.poolRef.name", "is missing", written or spec)
    remarks.unknown("spec.poolRef", written, {"group", "kind", "name"}, "references have nothing like it")
    if group not in ("", OLD_GROUP, POOL_GROUP) or kind not in ("", POOL):
        remarks.lost("spec.poolRef", "is to no InferencePool and stays as it is: name one", written)
    return mapping(
        {
            "group": text(POOL_GROUP if group in ("", OLD_GROUP) else group),
            "kind": text(kind or POOL),
            "name": text(name),
        }
    )

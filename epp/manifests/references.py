"""Resources that name an InferencePool of the older group: routes, policies, grants and roles.

In the Gateway API's and GKE's kinds the group is changed, in place: the rest of the text stays as it is, comments
included. What other kinds refer to is left to people, who know whether its controller takes today's group.
"""

from __future__ import annotations

from collections.abc import Iterator

from epp.documents import Limits, Node, read_document
from epp.manifests.names import OBJECTIVE, OBJECTIVE_API, OLD_GROUP, POOL, POOL_GROUP, REWRITE
from epp.manifests.nodes import at, child, items, scalar, text
from epp.manifests.reading import MAX_DEPTH, MAX_NODES, Resource
from epp.manifests.remarks import Remarks

__all__ = ["pointed_anew"]

CHANGED_GROUPS = frozenset({"gateway.networking.k8s.io", "networking.gke.io"})
"""Routes and grants; health checks and back-end policies. Both know pools of today's group."""

_RBAC_GROUP = "rbac.authorization.k8s.io"
_POOLS = "inferencepools"


def pointed_anew(resource: Resource, remarks: Remarks) -> Resource:
    """The resource with references to today's pools, or itself where nothing is changed."""
    if resource.group == _RBAC_GROUP:
        _look_at_rules(resource, remarks)
        return resource
    found = list(_references(resource.root, ""))
    if resource.group in CHANGED_GROUPS and found:
        root = _changed(resource.root)
        return Resource(resource.source, resource.lines_before, root, _spliced(resource, found, root))
    for path, group in found:
        message = f"is {OLD_GROUP} and stays so: write {POOL_GROUP} where the controller of this kind takes it"
        remarks.lost(path, message, group)
    return resource


def _look_at_rules(resource: Resource, remarks: Remarks) -> None:
    rules = items(child(resource.root, "rules"))
    granted = [child(rule, "apiGroups") for rule in rules]
    if any(_has(rule, "apiGroups", POOL_GROUP) and _has(rule, "resources", _POOLS) for rule in rules):
        return
    for index, groups in enumerate(granted):
        if any(scalar(group) == OLD_GROUP for group in items(groups)):
            remarks.lost(
                f"rules[{index}].apiGroups",
                f"grants nothing in {POOL_GROUP}: the picker needs get, list and watch of inferencepools there, and of"
                f" {OBJECTIVE.lower()}s and {REWRITE.lower()}s in {OBJECTIVE_API.partition('/')[0]}",
                groups,
            )


def _has(rule: Node, key: str, name: str) -> bool:
    return any(scalar(one) in (name, "*") for one in items(child(rule, key)))


def _is_reference(node: Node) -> bool:
    return at(node, "group") == OLD_GROUP and at(node, "kind") == POOL


def _references(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """The groups of all references to pools of the older group, and where each stands."""
    if isinstance(node.value, list):
        for index, item in enumerate(node.value):
            yield from _references(item, f"{path}[{index}]")
    elif isinstance(node.value, dict):
        if _is_reference(node):
            yield f"{path}.group".lstrip("."), node.value["group"]
        for key, value in node.value.items():
            yield from _references(value, f"{path}.{key}".lstrip("."))


def _changed(node: Node) -> Node:
    if isinstance(node.value, list):
        return node._replace(value=[_changed(item) for item in node.value])
    if not isinstance(node.value, dict):
        return node
    changed = {key: _changed(value) for key, value in node.value.items()}
    if _is_reference(node):
        changed["group"] = text(POOL_GROUP)
    return node._replace(value=changed)


def _spliced(resource: Resource, found: list[tuple[str, Node]], root: Node) -> str | None:
    """The text with the groups replaced; None where there is no text, or it would not say the same as `root`."""
    if resource.text is None:
        return None
    lines = resource.text.split("\n")
    marks = sorted({group.mark for _, group in found}, reverse=True)
    if marks[0].line > len(lines):
        return None  # YAML has line ends of its own, which `lines` does not know
    for line, column in marks:
        before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        lines[line - 1] = before + after.replace(OLD_GROUP, POOL_GROUP, 1)
    spliced = "\n".join(lines)
    read = read_document(spliced.encode(), Limits(MAX_DEPTH, MAX_NODES)).root
    return spliced if read is not None and _plain(read) == _plain(root) else None


def _plain(node: Node) -> object:
    """The content of a node without its places."""
    if isinstance(node.value, list):
        return [_plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: _plain(value) for key, value in node.value.items()}
    return node.value

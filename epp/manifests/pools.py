"""An older InferencePool becomes one of `inference.networking.k8s.io/v1`.

    spec.selector: {app: llama}          -> spec.selector.matchLabels: {app: llama}
    spec.targetPortNumber: 8000          -> spec.targetPorts: [{number: 8000}]
    spec.extensionRef.portNumber: 9002   -> spec.endpointPickerRef.port.number: 9002
    spec.extensionRef.*                  -> spec.endpointPickerRef.*

Older are v1alpha1, v1alpha2, and what the candidates of v1 were: v1 with an `extensionRef`. Each key is taken in
either form.
"""

from __future__ import annotations

from epp.documents import Node
from epp.manifests.metadata import metadata_of
from epp.manifests.names import OLD_GROUP, POOL, POOL_API, POOL_GROUP
from epp.manifests.nodes import at, child, fields, integer, items, mapping, number, scalar, sequence, text
from epp.manifests.reading import Resource
from epp.manifests.remarks import Remarks

__all__ = ["is_old_pool", "pool_of"]

PICKER_PORT = 9002
"""What gateways took where an `extensionRef` to a Service named no port (its field's description)."""

MAX_PORT, MAX_PORTS, MAX_LABELS = 65535, 8, 64
"""Limits of v1's schema."""

_OLD_KEYS = frozenset({"extensionRef", "targetPortNumber"})
_SPEC = frozenset({"appProtocol", "endpointPickerRef", "selector", "targetPorts"} | _OLD_KEYS)
_FAILURE_MODES = ("FailOpen", "FailClose")
_APP_PROTOCOLS = ("http", "kubernetes.io/h2c")
_NOT_IN_V1 = "v1 has nothing like it"


def is_old_pool(resource: Resource) -> bool:
    """Whether it is a pool of an older version, or has keys of one."""
    if resource.kind != POOL or resource.group not in (OLD_GROUP, POOL_GROUP):
        return False
    return resource.api_version != POOL_API or not _OLD_KEYS.isdisjoint(fields(child(resource.root, "spec")))


def pool_of(resource: Resource, remarks: Remarks) -> Node:
    """The pool in today's form; of no use when there are errors among the remarks."""
    spec = child(resource.root, "spec")
    remarks.unknown("", resource.root, {"apiVersion", "kind", "metadata", "spec", "status"}, _NOT_IN_V1)
    remarks.unknown("spec", spec, _SPEC, _NOT_IN_V1)
    return mapping(
        {
            "apiVersion": text(POOL_API),
            "kind": text(POOL),
            "metadata": metadata_of(resource, remarks),
            "spec": mapping(
                {
                    "selector": _selector(child(spec, "selector"), remarks),
                    "targetPorts": _target_ports(spec, remarks),
                    "appProtocol": _one_of("spec.appProtocol", child(spec, "appProtocol"), _APP_PROTOCOLS, remarks),
                    "endpointPickerRef": _picker(spec, remarks),
                }
            ),
        }
    )


def _selector(node: Node | None, remarks: Remarks) -> Node:
    inner = child(node, "matchLabels")
    if inner and isinstance(inner.value, dict):
        remarks.unknown("spec.selector", node, {"matchLabels"}, "v1 matches labels only, all of them")
        node = inner
    if node is None or not isinstance(node.value, dict) or not 1 <= len(node.value) <= MAX_LABELS:
        remarks.error("spec.selector", f"must have 1 to {MAX_LABELS} labels: v1 takes no pool without", node)
    elif any(scalar(value) is None for value in node.value.values()):
        remarks.error("spec.selector", "must be a mapping of labels to text", node)
    return mapping({"matchLabels": mapping({label: text(at(node, label)) for label in fields(node)})})


def _target_ports(spec: Node | None, remarks: Remarks) -> Node:
    new, old = child(spec, "targetPorts"), child(spec, "targetPortNumber")
    if old is None and new is not None:
        ports = [integer(child(item, "number"), 1, MAX_PORT) for item in items(new)]
        if not 1 <= len(ports) <= MAX_PORTS or None in ports or len(set(ports)) < len(ports):
            remarks.error("spec.targetPorts", f"must have 1 to {MAX_PORTS} different port numbers", new)
        return sequence([mapping({"number": number(port or 0)}) for port in ports])
    port = integer(old, 1, MAX_PORT)
    if port is None:
        remarks.error("spec.targetPortNumber", f"must be a number from 1 to {MAX_PORT}", old or spec)
    if new is not None:
        remarks.lost("spec.targetPorts", "stands beside targetPortNumber, which was taken", new)
    return sequence([mapping({"number": number(port or 0)})])


def _picker(spec: Node | None, remarks: Remarks) -> Node | None:
    key = "extensionRef" if child(spec, "extensionRef") else "endpointPickerRef"
    path, written = f"spec.{key}", child(spec, key)
    if written is None:
        remarks.lost(
            "spec.extensionRef",
            "is not there: name the picker's Service and port in spec.endpointPickerRef; without it a gateway chooses"
            " pods by itself, and before v1.6 the resource is refused",
            spec,
        )
        return None
    known = {"group", "kind", "name", "port", "portNumber", "targetPortNumber", "failureMode"}
    remarks.unknown(path, written, known, _NOT_IN_V1)
    if not at(written, "name"):
        remarks.error(f"{path}.name", "is missing: it names the picker's Service", written)
    group = child(written, "group")
    return mapping(
        {
            "group": text(at(written, "group")) if group else None,
            "kind": text(at(written, "kind")) if child(written, "kind") else None,
            "name": text(at(written, "name")),
            "port": _picker_port(path, written, remarks),
            "failureMode": _one_of(f"{path}.failureMode", child(written, "failureMode"), _FAILURE_MODES, remarks),
        }
    )


def _picker_port(path: str, written: Node, remarks: Remarks) -> Node | None:
    """`portNumber`, or what it was in v1alpha1, or what gateways took without it."""
    key, node = "port.number", child(child(written, "port"), "number")
    for older in ("targetPortNumber", "portNumber"):
        if found := child(written, older):
            key, node = older, found
    port = integer(node, 1, MAX_PORT)
    if node is None and at(written, "kind") in ("", "Service"):
        remarks.note(path, f"names no port, so {PICKER_PORT} is written, which gateways took then", written)
        port = PICKER_PORT
    elif node is not None and port is None:
        remarks.error(f"{path}.{key}", f"must be a number from 1 to {MAX_PORT}", node)
    elif key == "targetPortNumber":
        message = "was a port of the picker's pods; endpointPickerRef.port is one of its Service: see that they agree"
        remarks.lost(f"{path}.{key}", message, node)
    return None if port is None else mapping({"number": number(port)})


def _one_of(path: str, node: Node | None, words: tuple[str, ...], remarks: Remarks) -> Node | None:
    if node is None:
        return None
    if scalar(node) not in words:
        remarks.error(path, f"must be {' or '.join(words)}", node)
    return text(scalar(node) or "")

"""Pods: raw JSON in, the few hundred bytes that matter out, and the endpoints that they are. No IO.

A pod counts while it is Running and Ready and nobody has asked to delete it; one that is terminating still runs, but
will not for long. Its address is `status.podIP`, the first of `podIPs` on a dual-stack cluster: one address, because
both belong to the same servers. Each target port is an endpoint, with its place in the pool's list as its rank, unless
the annotation `llm-d.ai/active-ports` leaves it out. Source of all that: llm-d-router, `datastore.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from itertools import islice
from types import MappingProxyType

import msgspec

from epp.discovery.kubernetes.reflector import UnreadableError
from epp.endpoints.types import EndpointSpec, canonical_address

__all__ = ["Pod", "endpoints_of", "read_pod"]

MAX_LABELS = 128
"""Labels of a pod that are kept. Kubernetes has no limit but the size of the object."""

MAX_KEY, MAX_VALUE = 317, 63
"""Characters of a label: 253 of the prefix, a slash and 63 of the name; 63 of the value. Longer ones are none."""

MAX_ANNOTATION = 512
"""Characters of the list of active ports. Eight ports have 47."""

_NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that can serve."""

    name: str
    namespace: str
    address: str
    """IP address in canonical form, without brackets."""
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS, hash=False)
    active_ports: frozenset[int] | None = None
    """Target ports that are served; None: all."""


class _Annotations(msgspec.Struct):
    active: str | None = msgspec.field(name="llm-d.ai/active-ports", default=None)
    legacy: str | None = msgspec.field(name="inference.networking.k8s.io/active-ports", default=None)


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = "default"
    labels: dict[str, str] | None = None
    annotations: _Annotations | None = None
    deletion_timestamp: str | None = None


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Ip(msgspec.Struct):
    ip: str = ""


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[_Condition] | None = None
    pod_ip: str = msgspec.field(name="podIP", default="")
    pod_ips: list[_Ip] | None = msgspec.field(name="podIPs", default=None)


class _Pod(msgspec.Struct):
    metadata: _Meta
    status: _Status = msgspec.field(default_factory=_Status)


_DECODER = msgspec.json.Decoder(_Pod)


def read_pod(raw: msgspec.Raw) -> Pod | None:
    """What is kept of a pod; None while it does not serve. Raises UnreadableError."""
    try:
        pod = _DECODER.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"it cannot be read as a pod: {str(error)[:200]}") from None
    meta, status = pod.metadata, pod.status
    if meta.deletion_timestamp or status.phase != "Running" or not _is_ready(status):
        return None
    address = _address(status)
    return Pod(meta.name, meta.namespace, address, _labels(meta.labels), _active_ports(meta.annotations))


def endpoints_of(pod: Pod, ports: tuple[int, ...]) -> tuple[EndpointSpec, ...]:
    """The endpoints of a pod, one per target port that is active."""
    return tuple(
        EndpointSpec(
            address=canonical_address(pod.address, port),
            name=f"{pod.name}-rank-{rank}",
            namespace=pod.namespace,
            labels=pod.labels,
        )
        for rank, port in enumerate(ports)
        if pod.active_ports is None or port in pod.active_ports
    )


def _is_ready(status: _Status) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in status.conditions or ())


def _address(status: _Status) -> str:
    """Raises UnreadableError for addresses that no server of ours can have: they may be somebody's trap."""
    text = status.pod_ip or next((each.ip for each in status.pod_ips or ()), "")
    try:
        address = ip_address(text)
    except ValueError:
        raise UnreadableError("it is ready and has no IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_multicast or address.is_unspecified or address.is_link_local or "%" in text:
        raise UnreadableError("its address is a multicast, link-local or unspecified one, which pods do not have")
    return address.compressed


def _labels(labels: dict[str, str] | None) -> Mapping[str, str]:
    """What label filters may ask for."""
    if not labels:
        return _NO_LABELS
    fitting = ((key, value) for key, value in labels.items() if len(key) <= MAX_KEY and len(value) <= MAX_VALUE)
    return MappingProxyType(dict(islice(fitting, MAX_LABELS)))


def _active_ports(annotations: _Annotations | None) -> frozenset[int] | None:
    """Without the annotation all ports are active; what it says otherwise counts, and what is no port is left out."""
    if annotations is None:
        return None
    text = annotations.active if annotations.active is not None else annotations.legacy
    if text is None:
        return None
    parts = (part.strip() for part in text[:MAX_ANNOTATION].split(","))
    return frozenset(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 5)

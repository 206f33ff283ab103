"""InferencePools: raw JSON in, what a picker needs of it out. No IO.

Read are the selector and the target ports. `appProtocol` is between the proxy and the pods, `endpointPickerRef` and
`status` between the gateway and whoever asks it.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from epp.discovery.kubernetes.labels import LabelSelector, parse_ports

__all__ = ["Pool", "UnusablePool", "read_pool"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Which pods belong to it, and where they listen."""

    selector: LabelSelector
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnusablePool:
    """There is a pool, and it cannot be served: what was known of it goes on to count."""

    why: str


class _Selector(msgspec.Struct, rename="camel"):
    match_labels: dict[str, str] = {}


class _Port(msgspec.Struct):
    number: int


class _Spec(msgspec.Struct, rename="camel"):
    selector: _Selector
    target_ports: list[_Port]


class _InferencePool(msgspec.Struct):
    spec: _Spec


_DECODER = msgspec.json.Decoder(_InferencePool)


def read_pool(raw: msgspec.Raw) -> Pool | UnusablePool:
    """What a pool says. Source: InferencePool v1."""
    try:
        spec = _DECODER.decode(raw).spec
        return Pool(
            LabelSelector.of(spec.selector.match_labels), parse_ports(port.number for port in spec.target_ports)
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return UnusablePool(str(error)[:300])

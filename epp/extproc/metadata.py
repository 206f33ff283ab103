"""Reads what a proxy says in `metadata_context`: which endpoints are allowed, and which one really served.

The metadata comes with every message but is rarely of interest, so it is decoded only when the bytes of the wanted key
occur in it at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Value

from epp.extproc import wire_pb2 as wire
from epp.protocol import LB_NAMESPACE, SERVED, SUBSET, SUBSET_NAMESPACE

__all__ = ["served_in", "subset_in"]


def subset_in(metadata: bytes) -> tuple[str, ...] | None:
    """Endpoints that the gateway allows: None without a hint, empty when a hint is present that allows nothing.

    Accepts a list, a string, and comma lists in either (Endpoint Picker Protocol N3-N6; header_to_metadata makes
    strings). A hint that cannot be read allows nothing: it must not be widened by being broken.
    """
    if SUBSET.encode() not in metadata:
        return None
    try:
        namespace = wire.Metadata.FromString(metadata).filter_metadata.get(SUBSET_NAMESPACE)
    except DecodeError:
        return ()
    if namespace is None or SUBSET not in namespace.fields:
        return None
    return tuple(_names(namespace.fields[SUBSET]))


def served_in(metadata: bytes) -> str | None:
    """Endpoint that the proxy says answered, or None."""
    if SERVED.encode() not in metadata:
        return None
    try:
        namespace = wire.Metadata.FromString(metadata).filter_metadata.get(LB_NAMESPACE)
    except DecodeError:
        return None
    if namespace is None or SERVED not in namespace.fields:
        return None
    return next(_names(namespace.fields[SERVED]), None)


def _names(value: Value) -> Iterator[str]:
    texts = [item.string_value for item in value.list_value.values] or [value.string_value]
    for text in texts:
        yield from filter(None, map(str.strip, text.split(",")))

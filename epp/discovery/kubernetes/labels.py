"""Labels, selectors and ports as people and objects write them. No IO.

Only equality is known, as in InferencePools, Services and the Go picker's `--endpoint-selector`: `app=vllm,tier=prod`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["MAX_PORTS", "LabelSelector", "check_name", "parse_ports", "parse_selector"]

MAX_PORTS = 8
"""Target ports of a pool, and so ranks of a pod (InferencePool v1, `targetPorts`)."""

MAX_PAIRS = 64
"""Labels of a selector (InferencePool v1, `matchLabels`)."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_KEY = re.compile(rf"(?:{_PREFIX}/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
"""Source: Kubernetes, "Labels and Selectors", syntax and character set."""

_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Selects what has all of these labels. Its pairs are sorted and can stand in a query as they are."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> LabelSelector:
        """Raises ValueError for what is no label, too many of them, or none: that would select every pod."""
        if not 0 < len(labels) <= MAX_PAIRS:
            raise ValueError(f"a selector of {len(labels)} labels: it must have 1 to {MAX_PAIRS}")
        for key, value in labels.items():
            if not _KEY.fullmatch(key):
                raise ValueError(f"{key[:80]!r} is no key of a label")
            if not _VALUE.fullmatch(value):
                raise ValueError(f"{value[:80]!r} is no value of a label")
        return cls(tuple(sorted(labels.items())))

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.pairs)


def parse_selector(text: str) -> LabelSelector:
    """`key=value,key=value`. Raises ValueError."""
    labels: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals:
            raise ValueError(f"{part[:80]!r} is not key=value")
        key, value = key.rstrip("!= "), value.removeprefix("=").strip()
        if f"{key}!=" in part.replace(" ", ""):
            raise ValueError(f"{part[:80]!r}: only key=value can be asked for")
        if labels.setdefault(key, value) != value:
            raise ValueError(f"label {key[:80]!r} stands twice, with different values")
    return LabelSelector.of(labels)


def parse_ports(numbers: Iterable[int]) -> tuple[int, ...]:
    """Target ports, in their order: the place of a port is its rank. Raises ValueError."""
    ports = tuple(numbers)
    if not 0 < len(ports) <= MAX_PORTS:
        raise ValueError(f"{len(ports)} target ports: there must be 1 to {MAX_PORTS}")
    for port in ports:
        if not 0 < port < 65536:
            raise ValueError(f"target port {port} is not between 1 and 65535")
    if len(set(ports)) < len(ports):
        raise ValueError("a target port stands twice")
    return ports


def check_name(kind: str, name: str) -> None:
    """Raises ValueError for what cannot be the name of an object, namespace or group. `kind` is for the message."""
    if not _DNS_NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no name of {kind}: lower-case letters, digits, '-' and '.'")

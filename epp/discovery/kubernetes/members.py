"""What is to be watched, and the endpoints that it comes to. No IO, no clock.

The pool says which pods, the pods say which endpoints. As long as something is not known, what was published stays: a
pool whose selector has changed keeps its endpoints until the pods of the new one are known. A pool that was deleted has
none; one that was never there may be created any moment, and is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from epp.discovery.kubernetes.labels import LabelSelector, check_name
from epp.discovery.kubernetes.pods import Pod, endpoints_of
from epp.discovery.kubernetes.pools import Pool, UnusablePool
from epp.endpoints.types import EndpointSpec

__all__ = ["POOL_GROUP", "Members", "PodSelection", "PoolReference", "Watched"]

POOL_GROUP = "inference.networking.k8s.io"

MAX_ENDPOINTS = 20_000
"""Endpoints of a pool: as many as objects are kept."""


@dataclass(frozen=True, slots=True)
class PoolReference:
    """An InferencePool, by name."""

    name: str
    namespace: str
    group: str = POOL_GROUP

    def __post_init__(self) -> None:
        """Raises ValueError for what can be no name."""
        check_name("a pool", self.name)
        check_name("a namespace", self.namespace)
        check_name("an API group", self.group)

    def __str__(self) -> str:
        return f"InferencePool {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodSelection:
    """Pods by their labels, where there is no InferencePool."""

    namespace: str
    pool: Pool

    def __post_init__(self) -> None:
        """Raises ValueError for what can be no name."""
        check_name("a namespace", self.namespace)

    def __str__(self) -> str:
        return f"pods {self.pool.selector} of namespace {self.namespace}"


Watched = PoolReference | PodSelection


class Members:
    """The endpoints of what is watched."""

    def __init__(self, watched: Watched) -> None:
        self._pool = watched.pool if isinstance(watched, PodSelection) else None
        self._was_there = self._pool is not None
        self._by_pod: dict[str, tuple[Pod, tuple[EndpointSpec, ...]]] = {}
        self.dropped = 0
        """Endpoints left out of the last set: too many, or a second pod at the same address."""

    @property
    def selector(self) -> LabelSelector | None:
        """Whose pods are to be watched; None: none are."""
        return self._pool.selector if self._pool else None

    def take_pool(self, found: Pool | UnusablePool | None) -> None:
        """What is known of the pool now; None: there is none of this name."""
        if isinstance(found, UnusablePool):
            return
        if found is None or self._pool is None or found.ports != self._pool.ports:
            self._by_pod = {}
        self._pool = found
        self._was_there |= found is not None

    def endpoints(self, pods: Mapping[str, Pod] | None) -> tuple[EndpointSpec, ...] | None:
        """The complete set; None while there is nothing to say, so that what was said before stays.

        `pods` by name: those that serve, of this `selector`; None while they are not known. Unchanged pods bring the
        same objects as before.
        """
        if self._pool is None:
            return () if self._was_there else None
        if pods is None:
            return None
        self._by_pod = {name: self._known(name, pod, self._pool.ports) for name, pod in sorted(pods.items())}
        found: dict[str, EndpointSpec] = {}
        total = 0
        for _, specs in self._by_pod.values():
            total += len(specs)
            for spec in specs:
                if len(found) < MAX_ENDPOINTS:
                    found.setdefault(spec.address, spec)
        self.dropped = total - len(found)
        return tuple(found.values())

    def __repr__(self) -> str:
        return f"<Members {self._pool or 'no pool'}, {len(self._by_pod)} pods>"

    def _known(self, name: str, pod: Pod, ports: tuple[int, ...]) -> tuple[Pod, tuple[EndpointSpec, ...]]:
        before = self._by_pod.get(name)
        return before if before and before[0] is pod else (pod, endpoints_of(pod, ports))

"""What is asked of the API server: paths and queries of lists and watches, and how their failures are told. No IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from epp.discovery.kubernetes.answers import Failing
from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.members import PoolReference
from epp.discovery.kubernetes.reflector import ListFrom, Notice, Recovered, Skipped, Troubled, WatchFrom

__all__ = ["Resource", "pods_of", "pool_of"]

_REMEDIES: Mapping[Failing, str] = {
    Failing.UNREACHABLE: "check the network and the address",
    Failing.UNAUTHORIZED: "check the service account's token, or the user of the kubeconfig",
    Failing.FORBIDDEN: "give the service account get, list and watch on {kind} in namespace {namespace}",
    Failing.NOT_FOUND: "install the custom resource definition of {kind}",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One list of objects in one namespace."""

    kind: str
    """As permissions name it: `pods`."""
    namespace: str
    path: str
    selection: tuple[str, str]
    """The parameter that narrows the list down."""

    def list_query(self, step: ListFrom) -> dict[str, str]:
        """Parameters that ask for a page. Without a version the list is the latest."""
        query = dict([self.selection])
        if step.limit:
            query["limit"] = str(step.limit)
        if step.token:
            query["continue"] = step.token
        return query

    def watch_query(self, step: WatchFrom) -> dict[str, str]:
        """Parameters that ask for a watch."""
        return {
            **dict([self.selection]),
            "watch": "true",
            "resourceVersion": step.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(step.timeout_s),
        }

    def told(self, notice: Notice) -> str:
        """A notice, for people."""
        match notice:
            case Troubled(error, known):
                remedy = _REMEDIES.get(error.failing, "it is tried again")
                kept = "the last known endpoints stay" if known else "no endpoints are known yet"
                text = remedy.format(kind=self.kind, namespace=self.namespace)
                return f"{self.kind}: the API server {error}: {text}; {kept}"
            case Recovered():
                return f"{self.kind}: watched again"
            case Skipped(name, why):
                return f"{self.kind}: {self.namespace}/{name[:253]} is left out: {why}; others like it are not told of"

    def __str__(self) -> str:
        return f"{self.kind} of namespace {self.namespace}"


def pods_of(namespace: str, selector: LabelSelector) -> Resource:
    """The pods that have these labels."""
    return Resource("pods", namespace, f"/api/v1/namespaces/{namespace}/pods", ("labelSelector", str(selector)))


def pool_of(pool: PoolReference) -> Resource:
    """The one pool. A list of one, because only lists can be watched; a Role may name the pool all the same."""
    path = f"/apis/{pool.group}/v1/namespaces/{pool.namespace}/inferencepools"
    return Resource(
        f"inferencepools.{pool.group}", pool.namespace, path, ("fieldSelector", f"metadata.name={pool.name}")
    )

"""Endpoints from Kubernetes: the pods of an InferencePool, or pods that have some labels.

What decides does no IO: `answers` (what the API server's bytes mean), `reflector` (when to list, to watch and to wait),
`pools` and `pods` (what is kept of an object), `labels`, `members` (which pods are watched, and which endpoints they
are), `resources` (what is asked for), `access` (kubeconfig and service account) and `proxies`. The edges around it are
thin: `credentials`, `api_client`, `following` and `kubernetes_source`.

Only lists and watches of two kinds of objects are asked for, so there is no client library: see docs/dependencies.md.
"""

from epp.discovery.kubernetes.access import Access, AccessError
from epp.discovery.kubernetes.kubernetes_source import KubernetesSource
from epp.discovery.kubernetes.labels import LabelSelector, parse_ports, parse_selector
from epp.discovery.kubernetes.members import POOL_GROUP, PodSelection, PoolReference, Watched
from epp.discovery.kubernetes.pools import Pool

__all__ = [
    "POOL_GROUP",
    "Access",
    "AccessError",
    "KubernetesSource",
    "LabelSelector",
    "PodSelection",
    "Pool",
    "PoolReference",
    "Watched",
    "parse_ports",
    "parse_selector",
]

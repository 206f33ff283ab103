"""What is asked of the API server, and how failures are told."""

import pytest

from epp.discovery.kubernetes.answers import ApiError, Failing
from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.members import PoolReference
from epp.discovery.kubernetes.reflector import ListFrom, Recovered, Skipped, Troubled, WatchFrom
from epp.discovery.kubernetes.resources import pods_of, pool_of

PODS = pods_of("ns", LabelSelector.of({"app": "vllm", "a": "1"}))
POOL = pool_of(PoolReference("p", "ns", "inference.networking.x-k8s.io"))


def test_pods_are_selected_by_the_server() -> None:
    assert PODS.path == "/api/v1/namespaces/ns/pods"
    assert PODS.list_query(ListFrom("", 500)) == {"labelSelector": "a=1,app=vllm", "limit": "500"}
    assert PODS.list_query(ListFrom("t", 0)) == {"labelSelector": "a=1,app=vllm", "continue": "t"}
    assert PODS.watch_query(WatchFrom("7", 300)) == {
        "labelSelector": "a=1,app=vllm",
        "watch": "true",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


def test_a_pool_is_asked_for_by_its_name_in_its_group() -> None:
    assert POOL.path == "/apis/inference.networking.x-k8s.io/v1/namespaces/ns/inferencepools"
    assert POOL.list_query(ListFrom("", 500))["fieldSelector"] == "metadata.name=p"


@pytest.mark.parametrize("failing", Failing)
def test_each_failure_says_what_to_do_and_what_stays(failing: Failing) -> None:
    error = ApiError(failing, "because")
    told = PODS.told(Troubled(error, known=True))
    assert told.startswith(f"pods: the API server {failing.value} (because): ")
    assert told.endswith("; the last known endpoints stay")
    assert PODS.told(Troubled(error, known=False)).endswith("; no endpoints are known yet")
    assert "{" not in told


def test_a_missing_permission_names_what_to_give() -> None:
    told = POOL.told(Troubled(ApiError(Failing.FORBIDDEN), known=False))
    assert "get, list and watch on inferencepools.inference.networking.x-k8s.io in namespace ns" in told


def test_the_rest() -> None:
    assert PODS.told(Recovered()) == "pods: watched again"
    assert PODS.told(Skipped("a", "why")) == "pods: ns/a is left out: why; others like it are not told of"

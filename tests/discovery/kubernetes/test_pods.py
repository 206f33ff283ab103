"""What is kept of a pod, and which endpoints it is."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.kubernetes.pods import Pod, endpoints_of, read_pod
from epp.discovery.kubernetes.reflector import UnreadableError
from tests.kube.objects import NAMESPACE, pod


def read(object_: dict[str, Any]) -> Pod | None:
    return read_pod(msgspec.Raw(json.dumps(object_).encode()))


def changed(**status: object) -> dict[str, Any]:
    object_ = pod("a-0", "10.0.0.1")
    object_["status"].update(status)
    return object_


def deleting() -> dict[str, Any]:
    object_ = pod("a-0", "10.0.0.1")
    object_["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return object_


def conditions(*states: tuple[str, str]) -> dict[str, Any]:
    return changed(conditions=[{"type": kind, "status": status} for kind, status in states])


def test_a_ready_pod() -> None:
    read_as = read(pod("a-0", "10.0.0.1"))
    labels = {"app": "vllm", "model": "llama", "pod-template-hash": "5d5f8b9c7"}
    assert read_as == Pod("a-0", NAMESPACE, "10.0.0.1", labels)
    assert "spec" not in repr(read_as)


@pytest.mark.parametrize(
    "object_",
    [
        pod("a-0", "10.0.0.1", ready=False),
        pod("a-0", "10.0.0.1", phase="Pending"),
        pod("a-0", "10.0.0.1", phase="Succeeded"),
        pod("a-0", "10.0.0.1", phase="Failed"),
        deleting(),
        conditions(("Ready", "Unknown")),
        conditions(("ContainersReady", "True")),
        changed(conditions=None),
        {"metadata": {"name": "a-0"}},
    ],
    ids=[
        "not ready",
        "pending",
        "done",
        "failed",
        "deleted",
        "unknown",
        "containers alone",
        "no condition",
        "no status",
    ],
)
def test_pods_that_do_not_serve(object_: dict[str, Any]) -> None:
    assert read(object_) is None


@pytest.mark.parametrize(
    ("address", "others", "expected"),
    [
        ("10.0.0.1", ["fd00::1"], "10.0.0.1"),
        ("FD00:0::1", ["10.0.0.1"], "fd00::1"),
        ("2001:DB8::1", [], "2001:db8::1"),
    ],
    ids=["dual stack, IPv4 first", "dual stack, IPv6 first", "IPv6"],
)
def test_the_first_address_counts_in_canonical_form(address: str, others: list[str], expected: str) -> None:
    read_as = read(pod("a-0", address, more_addresses=others))
    assert read_as
    assert read_as.address == expected


def test_the_list_of_addresses_stands_in_for_the_first_one() -> None:
    read_as = read(changed(podIP="", podIPs=[{"ip": "10.0.0.7"}]))
    assert read_as
    assert read_as.address == "10.0.0.7"


@pytest.mark.parametrize(
    "address", ["", "gpu1", "0.0.0.0", "::", "169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "1.2.3.4:80"]
)
def test_addresses_that_no_pod_has(address: str) -> None:
    with pytest.raises(UnreadableError):
        read(pod("a-0", address))


@pytest.mark.parametrize("object_", [{}, {"metadata": {"name": 3}}, {"metadata": {"name": "a", "labels": {"a": 1}}}])
def test_what_is_no_pod(object_: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError, match="cannot be read as a pod"):
        read(object_)


def test_labels_that_are_none_and_too_many_of_them_are_left_out() -> None:
    labels = {f"l{n}": "x" for n in range(1000)} | {"k" * 318: "v", "k": "v" * 64}
    read_as = read(pod("a-0", "10.0.0.1", labels={"role": "decode", "k" * 318: "v", "long": "v" * 64, **labels}))
    assert read_as
    assert len(read_as.labels) == 128
    assert read_as.labels["role"] == "decode"
    assert not {"k" * 318, "long", "k"} & set(read_as.labels)


RANKS = (8000, 8001, 8002)


@pytest.mark.parametrize(
    ("annotations", "ranks"),
    [
        ({}, [0, 1, 2]),
        ({"llm-d.ai/active-ports": "8000,8002"}, [0, 2]),
        ({"llm-d.ai/active-ports": " 8001 , nonsense, -1, 99999999999999999999"}, [1]),
        ({"llm-d.ai/active-ports": ""}, []),
        ({"llm-d.ai/active-ports": "9000"}, []),
        ({"llm-d.ai/active-ports": "\u0668\u0660\u0660\u0660"}, []),
        ({"inference.networking.k8s.io/active-ports": "8001"}, [1]),
        ({"llm-d.ai/active-ports": "8000", "inference.networking.k8s.io/active-ports": "8001"}, [0]),
        ({"llm-d.ai/active-ports": "1," * 10_000 + "8000"}, []),
    ],
)
def test_active_ports(annotations: dict[str, str], ranks: list[int]) -> None:
    read_as = read(pod("a-0", "fd00::1", annotations=annotations))
    assert read_as
    endpoints = endpoints_of(read_as, RANKS)
    assert [each.name for each in endpoints] == [f"a-0-rank-{rank}" for rank in ranks]
    assert [each.address for each in endpoints] == [f"[fd00::1]:{RANKS[rank]}" for rank in ranks]
    assert {each.namespace for each in endpoints} <= {NAMESPACE}
    assert all(each.labels is read_as.labels for each in endpoints)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(where=st.sampled_from(["metadata", "status"]), key=st.text(max_size=5), value=JSON, known=st.booleans())
def test_whatever_a_pod_holds_it_is_read_or_refused(where: str, key: str, value: object, *, known: bool) -> None:
    object_ = pod("a-0", "10.0.0.1")
    names = sorted(object_[where])
    object_[where][names[len(key) % len(names)] if known else key] = value
    try:
        read_as = read(object_)
    except UnreadableError:
        return
    if read_as:
        assert all(each.address for each in endpoints_of(read_as, RANKS))

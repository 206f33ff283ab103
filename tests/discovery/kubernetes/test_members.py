"""From what is known of pool and pods to a set of endpoints, or to leaving things as they are."""

import pytest

from epp.discovery.kubernetes import members as module
from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.members import Members, PodSelection, PoolReference
from epp.discovery.kubernetes.pods import Pod
from epp.discovery.kubernetes.pools import Pool, UnusablePool

SELECTOR, OTHER = LabelSelector.of({"a": "1"}), LabelSelector.of({"a": "2"})
POOL = Pool(SELECTOR, (80, 81))
PODS = {name: Pod(name, "ns", f"10.0.0.{n}") for n, name in enumerate("ab", 1)}


def of_pool() -> Members:
    return Members(PoolReference("p", "ns"))


def addresses(members: Members, pods: dict[str, Pod] | None) -> list[str] | None:
    found = members.endpoints(pods)
    return None if found is None else [each.address for each in found]


def test_nothing_is_said_before_the_pool_was_there() -> None:
    members = of_pool()
    assert members.endpoints(None) is None
    members.take_pool(None)
    assert (members.endpoints(None), members.selector) == (None, None)
    members.take_pool(UnusablePool("why"))
    assert (members.endpoints(None), members.selector) == (None, None)


def test_each_port_of_each_pod_is_an_endpoint() -> None:
    members = of_pool()
    members.take_pool(POOL)
    assert members.selector == SELECTOR
    assert members.endpoints(None) is None
    assert addresses(members, PODS) == ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80", "10.0.0.2:81"]
    assert addresses(members, {}) == []


def test_a_deleted_pool_has_none() -> None:
    members = of_pool()
    members.take_pool(POOL)
    members.take_pool(None)
    assert (addresses(members, None), members.selector) == ([], None)
    members.take_pool(POOL)
    assert members.endpoints(None) is None


def test_a_pool_that_has_become_unusable_goes_on_as_it_was() -> None:
    members = of_pool()
    members.take_pool(POOL)
    members.take_pool(UnusablePool("why"))
    assert members.selector == SELECTOR


def test_other_ports_take_effect_at_once() -> None:
    members = of_pool()
    members.take_pool(POOL)
    members.endpoints(PODS)
    members.take_pool(Pool(SELECTOR, (90,)))
    assert addresses(members, PODS) == ["10.0.0.1:90", "10.0.0.2:90"]


def test_a_selection_is_known_from_the_start() -> None:
    members = Members(PodSelection("ns", POOL))
    assert members.selector == SELECTOR
    assert members.endpoints(None) is None
    assert len(members.endpoints(PODS) or ()) == 4


def test_unchanged_pods_bring_the_same_objects() -> None:
    members = Members(PodSelection("ns", POOL))
    before = members.endpoints(PODS)
    after = members.endpoints(PODS | {"c": Pod("c", "ns", "10.0.0.3")})
    assert before
    assert after
    assert all(one is other for one, other in zip(before, after, strict=False))


def test_of_two_pods_at_one_address_one_counts() -> None:
    members = Members(PodSelection("ns", Pool(SELECTOR, (80,))))
    assert addresses(members, PODS | {"z": Pod("z", "ns", "10.0.0.1")}) == ["10.0.0.1:80", "10.0.0.2:80"]
    assert members.dropped == 1
    members.endpoints(PODS)
    assert members.dropped == 0


def test_there_are_no_more_endpoints_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDPOINTS", 3)
    members = Members(PodSelection("ns", POOL))
    assert len(members.endpoints(PODS) or ()) == 3
    assert members.dropped == 1


@pytest.mark.parametrize(("name", "namespace", "group"), [("A", "ns", "g"), ("a", "n/s", "g"), ("a", "ns", "")])
def test_references_hold_names_only(name: str, namespace: str, group: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        PoolReference(name, namespace, group)
    with pytest.raises(ValueError, match="no name of a namespace"):
        PodSelection("n,s", POOL)

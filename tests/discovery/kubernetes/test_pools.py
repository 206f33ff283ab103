"""What a pool says, and what makes one unusable."""

import json
from typing import Any

import msgspec
import pytest

from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.pools import Pool, UnusablePool, read_pool
from tests.kube.objects import LABELS, pool


def read(object_: dict[str, Any]) -> Pool | UnusablePool:
    return read_pool(msgspec.Raw(json.dumps(object_).encode()))


def test_selector_and_ports() -> None:
    assert read(pool(ports=(8002, 8000))) == Pool(LabelSelector.of(LABELS), (8002, 8000))


def without(*path: str) -> dict[str, Any]:
    object_ = pool()
    at = object_
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return object_


@pytest.mark.parametrize(
    ("object_", "why"),
    [
        (pool(labels={}), "a selector of 0 labels"),
        (pool(labels={f"l{n}": "x" for n in range(65)}), "a selector of 65 labels"),
        (pool(labels={"a,b": "x"}), "'a,b' is no key of a label"),
        (pool(labels={"a": "x,b=y"}), "'x,b=y' is no value of a label"),
        (pool(ports=()), "0 target ports"),
        (pool(ports=range(1, 10)), "9 target ports"),
        (pool(ports=(0,)), "target port 0"),
        (pool(ports=(65536,)), "target port 65536"),
        (pool(ports=(80, 80)), "stands twice"),
        (without("spec"), "spec"),
        (without("spec", "selector"), "selector"),
        (without("spec", "targetPorts"), "targetPorts"),
    ],
)
def test_pools_that_cannot_be_served(object_: dict[str, Any], why: str) -> None:
    found = read(object_)
    assert isinstance(found, UnusablePool)
    assert why in found.why

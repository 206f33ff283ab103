"""The checks that other tests rely on do find what is wrong."""

from typing import Any

import pytest

from tests.manifests.schemas import faults

PORT = {"port": {"number": 9002}}


def pool(**spec: Any) -> dict[str, Any]:
    whole = {"selector": {"matchLabels": {"app": "a"}}, "targetPorts": [{"number": 8000}], **spec}
    return {"apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool", "metadata": {}, "spec": whole}


def test_what_is_right_has_no_faults() -> None:
    assert faults(pool(endpointPickerRef={"name": "x", "failureMode": "FailOpen", **PORT})) == []


BAD = {
    "no labels": ({"selector": {"matchLabels": {}}}, ".spec.selector.matchLabels: minProperties 1"),
    "a label that is no text": ({"selector": {"matchLabels": {"a": 1}}}, ".spec.selector.matchLabels.a: no string"),
    "an old key": ({"targetPortNumber": 1}, ".spec.targetPortNumber: unknown"),
    "a port too high": ({"targetPorts": [{"number": 65536}]}, ".spec.targetPorts[0].number: maximum 65535"),
    "a port that is text": ({"targetPorts": [{"number": "80"}]}, ".spec.targetPorts[0].number: no integer"),
    "a port twice": ({"targetPorts": [{"number": 1}, {"number": 1}]}, "spec.targetPorts: not unique"),
    "no name": ({"endpointPickerRef": PORT}, ".spec.endpointPickerRef: no name"),
    "no port": ({"endpointPickerRef": {"name": "x"}}, "spec.endpointPickerRef: a Service without port"),
    "another mode": (
        {"endpointPickerRef": {"name": "x", "failureMode": "Never", **PORT}},
        ".spec.endpointPickerRef.failureMode: enum ['FailOpen', 'FailClose']",
    ),
}


@pytest.mark.parametrize(("spec", "fault"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_found(spec: dict[str, Any], fault: str) -> None:
    assert faults(pool(**spec)) == [fault]

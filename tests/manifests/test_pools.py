"""Pools of older versions in today's form."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.manifests.migrating import NEW_GROUP, Migrated, migrated, old
from tests.manifests.schemas import faults

RIGHT = "selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e}"


def pool(spec: str, version: str = "v1alpha2") -> Migrated:
    return migrated(old("InferencePool", spec, version=version))


def spec_of(made: Migrated) -> dict[str, Any]:
    (resource,) = made.resources
    assert faults(resource) == []
    assert (resource["apiVersion"], resource["kind"]) == (f"{NEW_GROUP}/v1", "InferencePool")
    spec: dict[str, Any] = resource["spec"]
    return spec


def test_every_key_has_its_place_in_v1() -> None:
    made = pool(
        "{selector: {app: a, tier: gold}, targetPortNumber: 8000, extensionRef: {group: '', kind: Service, name: e,"
        " portNumber: 9005, failureMode: FailOpen}}"
    )
    assert spec_of(made) == {
        "selector": {"matchLabels": {"app": "a", "tier": "gold"}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {
            "group": "",
            "kind": "Service",
            "name": "e",
            "port": {"number": 9005},
            "failureMode": "FailOpen",
        },
    }
    assert (made.errors, made.lost, made.notes) == ([], [], [])


def test_a_service_without_port_gets_what_gateways_took() -> None:
    made = pool("{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e}}")
    assert spec_of(made)["endpointPickerRef"] == {"name": "e", "port": {"number": 9002}}
    assert made.lost == []
    assert [note.partition(": names")[0] for note in made.notes] == ["4: InferencePool a: spec.extensionRef"]


def test_what_is_no_service_needs_no_port() -> None:
    made = pool("{selector: {app: a}, targetPortNumber: 1, extensionRef: {group: x.y, kind: Picker, name: e}}")
    assert spec_of(made)["endpointPickerRef"] == {"group": "x.y", "kind": "Picker", "name": "e"}
    assert made.notes == []


def test_a_port_of_pods_is_not_quite_that_of_a_service() -> None:
    made = pool("{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e, targetPortNumber: 9}}", "v1alpha1")
    assert spec_of(made)["endpointPickerRef"]["port"] == {"number": 9}
    assert len(made.lost) == 1
    assert "spec.extensionRef.targetPortNumber: was a port of the picker's pods" in made.lost[0]


def test_a_pool_without_picker_has_none_and_that_is_said() -> None:
    made = pool("{selector: {app: a}, targetPortNumber: 1}", "v1alpha1")
    assert "endpointPickerRef" not in spec_of(made)
    assert len(made.lost) == 1
    assert "name the picker's Service and port in spec.endpointPickerRef" in made.lost[0]


def test_a_candidate_of_v1_is_older_too() -> None:
    made = migrated(
        f"apiVersion: {NEW_GROUP}/v1\nkind: InferencePool\nmetadata: {{name: a}}\n"
        "spec: {selector: {matchLabels: {app: a}}, targetPorts: [{number: 1}, {number: 2}], appProtocol: http,"
        " extensionRef: {name: e, portNumber: 3}}\n"
    )
    assert spec_of(made) == {
        "selector": {"matchLabels": {"app": "a"}},
        "targetPorts": [{"number": 1}, {"number": 2}],
        "appProtocol": "http",
        "endpointPickerRef": {"name": "e", "port": {"number": 3}},
    }


def test_labels_may_look_like_numbers() -> None:
    made = pool("{selector: {version: 1.10, matchLabels: x}, targetPortNumber: 1, extensionRef: {name: e}}")
    assert spec_of(made)["selector"] == {"matchLabels": {"version": "1.10", "matchLabels": "x"}}


def test_unknown_keys_are_named() -> None:
    made = pool("{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e, portNumber: 1, weight: 2}, size: 3}")
    assert faults(made.resources[0]) == []
    assert [line.rpartition(": ")[0] for line in made.lost] == [
        "4: InferencePool a: spec.size",
        "4: InferencePool a: spec.extensionRef.weight",
    ]


def test_metadata_is_kept_but_what_servers_and_kubectl_wrote() -> None:
    made = migrated(
        "apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool\n"
        "metadata: {name: a, namespace: n, uid: x, resourceVersion: '7', generation: 2, creationTimestamp: 2025-01-01,"
        " labels: {on: 'yes', port: 80}, finalizers: [f],"
        " annotations: {note: hello, kubectl.kubernetes.io/last-applied-configuration: x}}\n"
        f"spec: {{{RIGHT}}}\nstatus: {{parent: []}}\n"
    )
    assert made.resources[0]["metadata"] == {
        "name": "a",
        "namespace": "n",
        "labels": {"on": "yes", "port": "80"},
        "annotations": {"note": "hello"},
    }
    assert "status" not in made.resources[0]
    assert [line.split(": ")[2] for line in made.lost] == ["metadata.finalizers"]


WRONG = {
    "no port": ("{selector: {app: a}, extensionRef: {name: e}}", "spec.targetPortNumber: must be a number"),
    "port 0": ("{selector: {app: a}, targetPortNumber: 0}", "spec.targetPortNumber: must be a number from 1 to 65535"),
    "port too high": ("{selector: {app: a}, targetPortNumber: 65536}", "spec.targetPortNumber: must be a number"),
    "port as text": ("{selector: {app: a}, targetPortNumber: '80'}", "spec.targetPortNumber: must be a number"),
    "ports twice": (
        "{selector: {app: a}, targetPorts: [{number: 1}, {number: 1}]}",
        "spec.targetPorts: must have 1 to 8 different",
    ),
    "no selector": ("{targetPortNumber: 1}", "spec.selector: must have 1 to 64 labels"),
    "empty selector": ("{targetPortNumber: 1, selector: {}}", "spec.selector: must have 1 to 64 labels"),
    "a selector of lists": ("{targetPortNumber: 1, selector: {a: [b]}}", "spec.selector: must be a mapping of labels"),
    "no name of the picker": (
        "{selector: {app: a}, targetPortNumber: 1, extensionRef: {portNumber: 1}}",
        "spec.extensionRef.name: is missing",
    ),
    "a mode of another kind": (
        "{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e, failureMode: Never}}",
        "spec.extensionRef.failureMode: must be FailOpen or FailClose",
    ),
    "a port of the picker": (
        "{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e, portNumber: x}}",
        "spec.extensionRef.portNumber: must be a number",
    ),
    "no spec": ("", "spec.selector: must have"),
    "a spec that is text": ("hello", "spec.selector: must have"),
}


@pytest.mark.parametrize(("spec", "text"), WRONG.values(), ids=WRONG)
def test_what_v1_would_refuse_is_an_error(spec: str, text: str) -> None:
    made = pool(spec)
    assert any(text in error for error in made.errors), made.errors
    assert made.resources == []


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "x" * 254, "a..b", "[a]"])
def test_a_name_that_is_none_is_an_error(name: str) -> None:
    made = migrated(old("InferencePool", f"{{{RIGHT}}}", name=name or "''"))
    assert any("metadata.name" in error for error in made.errors)


LABELS = st.from_regex(r"\A[a-z]([-a-z0-9_.]{0,20}[a-z0-9])?\Z")
OLD_SPECS = st.fixed_dictionaries(
    {
        "selector": st.dictionaries(LABELS, LABELS, min_size=1, max_size=3),
        "targetPortNumber": st.integers(1, 65535),
        "extensionRef": st.fixed_dictionaries(
            {"name": LABELS},
            optional={
                "group": st.sampled_from(["", "example.com"]),
                "kind": st.sampled_from(["Service", "Other"]),
                "portNumber": st.integers(1, 65535),
                "failureMode": st.sampled_from(["FailOpen", "FailClose"]),
            },
        ),
    }
)


@given(spec=OLD_SPECS)
def test_whatever_the_older_schema_takes_the_new_one_takes(spec: dict[str, Any]) -> None:
    made = pool(yaml.safe_dump(spec, default_flow_style=True, width=10_000).strip())
    new = spec_of(made)
    assert (made.errors, made.lost) == ([], [])
    assert new["selector"]["matchLabels"] == spec["selector"]
    assert new["endpointPickerRef"].items() >= {
        (key, value) for key, value in spec["extensionRef"].items() if key != "portNumber"
    }

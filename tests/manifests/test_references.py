"""What points to pools of the older group."""

import pytest
import yaml

from tests.manifests.migrating import NEW_GROUP, OLD_GROUP, migrated

ROUTE = """\
# route
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
  - backendRefs:
    - {group: "%s", kind: InferencePool, name: a, weight: 9}   # nine of ten
    - {name: plain, port: 80}
    - group: '%s'
      name: b
      kind: InferencePool
    filters:
    - type: RequestMirror
      requestMirror: {backendRef: {kind: InferencePool, group: %s, name: c}}
    timeouts: {request: 0300s}   # %s
"""

CHANGED = {
    "a route": ROUTE % (OLD_GROUP, OLD_GROUP, OLD_GROUP, "kept"),
    "an escaped group": ROUTE.replace("# nine of ten", "") % ("\\x69nference.networking.x-k8s.io", "x", "y", OLD_GROUP),
    "a grant": "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g}\n"
    f"spec:\n  from: []\n  to:\n  - kind: InferencePool\n    group: {OLD_GROUP}\n",
    "a health check": "apiVersion: networking.gke.io/v1\nkind: HealthCheckPolicy\nmetadata: {name: h}\n"
    f"spec:\n  targetRef: {{group: {OLD_GROUP}, kind: InferencePool, name: a}}\n",
    "an alias": "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n"
    f"spec: {{a: &x {{group: {OLD_GROUP}, kind: InferencePool, name: a}}, b: [*x, *x]}}\n",
}


@pytest.mark.parametrize("text", CHANGED.values(), ids=CHANGED)
def test_the_group_changes_and_nothing_else(text: str) -> None:
    made = migrated(text)
    before = yaml.safe_load(text)
    assert (made.errors, made.lost) == ([], [])
    assert made.resources == [
        yaml.safe_load(text.replace(OLD_GROUP, NEW_GROUP).replace("\\x69nference.networking.x-k8s.io", NEW_GROUP))
    ]
    assert made.resources != [before]


def test_text_and_comments_stay() -> None:
    made = migrated(ROUTE % (OLD_GROUP, OLD_GROUP, OLD_GROUP, f"not {OLD_GROUP}"))
    assert made.text == ROUTE % (NEW_GROUP, NEW_GROUP, NEW_GROUP, f"not {OLD_GROUP}")


def test_line_ends_that_only_yaml_knows_do_not_harm() -> None:
    made = migrated(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, x: 'a\u2028b\u2028\u2028c'}\n"
        f"spec: {{r: {{group: {OLD_GROUP}, kind: InferencePool}}}}"
    )
    assert made.resources[0]["spec"]["r"]["group"] == NEW_GROUP


def test_a_route_in_a_list_is_changed_too() -> None:
    made = migrated(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: gateway.networking.k8s.io/v1\n  kind: HTTPRoute\n"
        f"  metadata: {{name: r}}\n  spec: {{x: {{group: {OLD_GROUP}, kind: InferencePool}}, v: '08', w: 08}}\n"
    )
    assert made.resources[0]["spec"] == {"x": {"group": NEW_GROUP, "kind": "InferencePool"}, "v": "08", "w": "08"}
    assert "v: '08'\n  w: 08\n" in made.text


@pytest.mark.parametrize("reference", [f"{{group: {NEW_GROUP}, kind: InferencePool}}", f"{{group: {OLD_GROUP}}}", "{}"])
def test_other_references_stay(reference: str) -> None:
    text = (
        f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r}}\nspec: {{r: {reference}}}\n"
    )
    made = migrated(text)
    assert (made.text, made.lost) == (text, [])


def test_references_of_other_kinds_are_left_to_people() -> None:
    text = (
        "apiVersion: example.com/v1\nkind: Route\nmetadata: {name: r}\n"
        f"spec:\n  rules:\n  - backends:\n    - kind: InferencePool\n      group: {OLD_GROUP}\n"
    )
    made = migrated(text)
    assert made.text == text
    assert len(made.lost) == 1
    assert made.lost[0].startswith("8: Route r: spec.rules[0].backends[0].group: is inference.networking.x-k8s.io")


ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: epp}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [%s], resources: [inferencepools], verbs: [get]}
"""


def test_a_role_that_grants_only_the_older_group_is_named() -> None:
    made = migrated(ROLE % OLD_GROUP)
    assert made.text == ROLE % OLD_GROUP
    assert len(made.lost) == 1
    assert made.lost[0].startswith("6: Role epp: rules[1].apiGroups: grants nothing in inference.networking.k8s.io")
    assert migrated(ROLE % f"{OLD_GROUP}, {NEW_GROUP}").lost == []


def test_a_rule_for_other_resources_of_todays_group_does_not_silence_that() -> None:
    other = f"- {{apiGroups: [{NEW_GROUP}], resources: [somethings], verbs: [get]}}\n"
    assert len(migrated(ROLE % OLD_GROUP + other).lost) == 1

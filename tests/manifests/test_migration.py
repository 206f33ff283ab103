"""Whole sets of resources: order, what goes through, names that meet, twice is once."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.manifests import migrate, read_manifest
from tests.manifests.migrating import NEW_GROUP, OLD_GROUP, migrated, old
from tests.manifests.schemas import DATA, faults

POOL = old("InferencePool", "{selector: {app: a}, targetPortNumber: 1, extensionRef: {name: e, portNumber: 1}}", "p")
MODEL = old(
    "InferenceModel", "{modelName: m, poolRef: {name: p}, criticality: Critical, targetModels: [{name: x}]}", "m"
)
OBJECTIVE = old("InferenceObjective", "{priority: 7, poolRef: {name: p}}", "m")
REWRITE = old("InferenceModelRewrite", "{poolRef: {name: p}, rules: [{targets: [{modelRewrite: z}]}]}", "m")
ROUTE = (
    "# the way in\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n"
    f"spec: {{rules: [{{backendRefs: [{{group: {OLD_GROUP}, kind: InferencePool, name: p}}]}}]}}\n"
)
SERVICE = "apiVersion: v1\nkind: Service   # as it is\nmetadata: {name: e}\nspec: {ports: [{port: 0x10}], x: }\n"
CONFIG = f"apiVersion: {OLD_GROUP}/v1alpha1\nkind: EndpointPickerConfig\nplugins: []\n"
IMPORT = f"apiVersion: {OLD_GROUP}/v1alpha1\nkind: InferencePoolImport\nmetadata: {{name: i}}\n"
UNKNOWN = f"apiVersion: {OLD_GROUP}/v1alpha9\nkind: InferenceDream\nmetadata: {{name: d}}\n"


def kinds(*documents: str) -> list[tuple[str, str]]:
    return [(one["kind"], one["metadata"]["name"]) for one in migrated(*documents).resources]


def test_order_is_that_of_the_input() -> None:
    assert kinds(SERVICE, MODEL, ROUTE, POOL) == [
        ("Service", "e"),
        ("InferenceObjective", "m"),
        ("InferenceModelRewrite", "m"),
        ("HTTPRoute", "r"),
        ("InferencePool", "p"),
    ]


@pytest.mark.parametrize("text", [SERVICE, CONFIG, IMPORT])
def test_other_resources_go_through_byte_for_byte(text: str) -> None:
    made = migrated(text)
    assert (made.text, made.errors, made.lost, made.notes) == (text, [], [], [])


def test_an_unknown_kind_of_the_older_group_goes_through_and_is_named() -> None:
    made = migrated(UNKNOWN)
    assert made.text == UNKNOWN
    assert made.lost == [f"1: InferenceDream d: is of a kind of {OLD_GROUP} that is not known here, and stays as it is"]


def test_comments_are_lost_only_where_something_is_translated() -> None:
    made = migrated(f"# hello\n{POOL}", ROUTE)
    assert made.notes == ["2: InferencePool p: comments are not carried over"]
    assert "# the way in" in made.text


def test_json_and_lists_come_out_as_yaml_documents() -> None:
    made = migrated('{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "x": "1"}]}')
    assert made.text == "apiVersion: v1\nkind: Pod\nx: '1'\n"


def test_what_is_in_todays_form_counts_where_names_meet() -> None:
    todays = migrated(OBJECTIVE).text.replace("priority: 7", "priority: 3")
    made = migrated(MODEL, OBJECTIVE, todays)
    assert [(one["kind"], one["spec"].get("priority")) for one in made.resources] == [
        ("InferenceModelRewrite", None),
        ("InferenceObjective", 3),
    ]
    left_out = [line for line in made.lost if "is left out" in line]
    assert left_out == [
        "1: InferenceModel m: its InferenceObjective is left out: there is one of this name, from f:11",
        "6: InferenceObjective m: its InferenceObjective is left out: there is one of this name, from f:11",
    ]


def test_else_the_first_counts() -> None:
    assert kinds(MODEL, OBJECTIVE, REWRITE, POOL, POOL) == [
        ("InferenceObjective", "m"),
        ("InferenceModelRewrite", "m"),
        ("InferencePool", "p"),
    ]


def test_one_name_in_two_namespaces_is_two_names() -> None:
    assert len(kinds(POOL, POOL.replace("name: p", "name: p, namespace: n", 1))) == 2


def test_aliases_that_would_fill_a_disk_are_refused() -> None:
    item = f"{{a: &x '{'x' * 100_000}', b: [{', '.join(['*x'] * 1000)}]}}"
    made = migrated(
        f"apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {item}}}\n"
    )
    assert made.errors == ["4: Pod a: is larger than 16 MiB when its aliases are written out"]


def test_counts() -> None:
    manifest = read_manifest("---\n".join([POOL, MODEL, SERVICE, ROUTE, POOL]).encode(), "f")
    migration = migrate(manifest.resources)
    assert (migration.translated, migration.passed) == (4, 1)


def test_the_quick_start_of_the_extension() -> None:
    made = migrated((DATA / "older.yaml").read_text("utf-8"))
    assert made.errors == []
    assert [faults(one) for one in made.resources[:-1]] == [[]] * 4
    assert made.resources[-1]["spec"]["rules"][0]["backendRefs"][0]["group"] == NEW_GROUP
    assert {one["metadata"]["namespace"] for one in made.resources} == {"chat"}
    assert len(made.lost) == 2


ANY = st.sampled_from([POOL, MODEL, OBJECTIVE, REWRITE, ROUTE, SERVICE, CONFIG, IMPORT, UNKNOWN, "", "# c\n", "\n"])


@given(documents=st.lists(ANY, max_size=6), last=st.sampled_from(["", "\n\n", "...\n"]))
def test_twice_is_once(documents: list[str], last: str) -> None:
    once = migrated(*documents, last)
    assert once.errors == []
    twice = migrated(once.text)
    assert twice.text == once.text
    assert twice.notes == []
    assert [line for line in twice.lost if "is not known here" not in line] == []


@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_nothing_raises_and_what_comes_out_can_be_read(data: bytes) -> None:
    migration = migrate(read_manifest(data, "f").resources)
    assert read_manifest(migration.text.encode(), "g").findings == ()


KEYS = st.sampled_from(
    ["selector", "targetPortNumber", "extensionRef", "poolRef", "modelName", "targetModels", "rules", "name"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Critical", OLD_GROUP]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(["InferencePool", "InferenceModel", "InferenceObjective", "InferenceModelRewrite"])


@given(kind=KINDS, spec=VALUES, metadata=VALUES)
def test_whatever_stands_in_a_resource_something_is_made_of_it_or_it_is_an_error(
    kind: str, spec: object, metadata: object
) -> None:
    whole = {"apiVersion": f"{OLD_GROUP}/v1alpha2", "kind": kind, "metadata": metadata, "spec": spec}
    made = migrated(yaml.safe_dump(whole, allow_unicode=True))
    assert bool(made.errors) != bool(made.resources)


@pytest.mark.parametrize("items", ["[]", "[{cidr: 10.0.0.0/8}]"])
def test_a_resource_whose_kind_ends_like_a_lists_goes_through(items: str) -> None:
    text = f"apiVersion: example.com/v1\nkind: IPAllowList\nmetadata: {{name: a}}\nitems: {items}\n"
    made = migrated(text)
    assert (made.text, made.errors, made.lost) == (text, [], [])


def test_findings_do_nothing_to_a_terminal() -> None:
    made = migrated(old("InferencePool", "{}", name='"a\\e]0;owned\\a"'))
    assert made.errors
    assert all(line.isprintable() for line in made.errors)

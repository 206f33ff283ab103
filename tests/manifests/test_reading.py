"""Files of resources: told apart, with their lines, in bounded time."""

import pytest

from epp.manifests import Resource, read_manifest
from epp.manifests.reading import MAX_BYTES, MAX_DEPTH, MAX_DOCUMENTS, MAX_FAULTS, MAX_NODES

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\n"
A, B = POD % "a", POD % "b"


def found(data: str | bytes) -> list[tuple[str, int]]:
    manifest = read_manifest(data if isinstance(data, bytes) else data.encode(), "f")
    assert manifest.findings == ()
    return [(resource.name, resource.line()) for resource in manifest.resources]


FILES = {
    "nothing": ("", []),
    "only comments": ("# a\n---\n# b\n", []),
    "one": (A, [("a", 1)]),
    "two": (f"{A}---\n{B}", [("a", 1), ("b", 5)]),
    "markers around": (f"---\n{A}---\n---\n\n{B}...\n", [("a", 2), ("b", 8)]),
    "windows": (f"---\r\n{A}---\r\n{B}".replace("\n", "\r\n").replace("\r\r", "\r"), [("a", 2), ("b", 6)]),
    "no line end at the end": (f"{A}---\n{B.rstrip()}", [("a", 1), ("b", 5)]),
    "a comment after the marker": (f"--- # first\n{A}", [("a", 2)]),
    "a resource after the marker": ('--- {"apiVersion": v1, "kind": Pod, "metadata": {"name": a}}\n', [("a", 1)]),
    "three hyphens inside text": ("apiVersion: v1\nkind: C\nmetadata: {name: a}\ndata: |\n  ---\n  b\n", [("a", 1)]),
    "JSON": ('\n{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}', [("a", 2)]),
    "a list": (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
        "-\n  apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n",
        [("a", 4), ("b", 6)],
    ),
    "a list in a list": (
        "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: "
        "[{apiVersion: v1, kind: Pod, metadata: {name: a}}]}]}",
        [("a", 1)],
    ),
    "an empty list": ("apiVersion: v1\nkind: List\nitems: []\n", []),
    "byte order mark": (b"\xef\xbb\xbf" + A.encode(), [("a", 1)]),
    "PowerShell": (A.encode("utf-16"), [("a", 1)]),
}


@pytest.mark.parametrize(("data", "expected"), FILES.values(), ids=FILES)
def test_resources_and_their_lines(data: str | bytes, expected: list[tuple[str, int]]) -> None:
    assert found(data) == expected


def test_items_of_a_typed_list_have_its_kind() -> None:
    manifest = read_manifest(b"{apiVersion: a.b/v1, kind: PodList, items: [{metadata: {name: x, namespace: n}}]}", "f")
    (resource,) = manifest.resources
    assert (resource.group, resource.api_version, resource.kind, resource.subject) == (
        "a.b",
        "a.b/v1",
        "Pod",
        "Pod n/x",
    )


def test_a_kind_that_ends_so_and_has_no_items_is_no_list() -> None:
    assert found("{apiVersion: v1, kind: AllowList, metadata: {name: x}}") == [("x", 1)]


def test_text_is_kept_where_it_is_one_resource_in_yaml() -> None:
    data = f"# head\n{A}---\n{B}\n---\n" + '{"apiVersion": "v1", "kind": "List", "items": []}'
    first, second = read_manifest(data.encode(), "f").resources
    assert (first.text, second.text) == (f"# head\n{A}", f"{B}\n")
    assert (first.commented, second.commented) == (True, False)
    (other,) = read_manifest(b'{"apiVersion": "v1", "kind": "Pod"}', "f").resources
    assert other.text is None


REFUSED = {
    "not YAML": (f"{A}---\na: [1\n", "f:5: not valid YAML: while parsing a flow sequence that begins in line 5"),
    "a template": ("a: 1\nb: {{ .Values.x }}\n", "templates must be rendered first: helm template"),
    "no kind": (f"{A}---\n\nname: b\n", "f:6: not a Kubernetes resource: it needs kind and apiVersion"),
    "text": ("hello", "f:1: not a Kubernetes resource"),
    "an item that is text": ("{apiVersion: v1, kind: List, items: [a]}", "f:1: not a Kubernetes resource"),
    "a key twice": (
        "---\napiVersion: v1\nkind: Pod\nkind: Pod\n",
        "f:4: key 'kind' stands here again, first in line 3",
    ),
    "not UTF-8": (b"a: \xff", "f: not text in UTF-8: invalid start byte at byte 3"),
    "half a character of UTF-16": (b"\xff\xfea", "f: not text in UTF-8"),
    "too large": (b"#" * (MAX_BYTES + 1), "f: larger than 16 MiB"),
    "too deep": ("[" * (MAX_DEPTH + 2), f"f:1: nested more than {MAX_DEPTH} levels deep"),
    "an anchor of another document": ("a: &x 1\nkind: a\napiVersion: v1\n---\nb: *x\n", "f:5: "),
}


@pytest.mark.parametrize(("data", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_with_its_line(data: str | bytes, text: str) -> None:
    findings = read_manifest(data if isinstance(data, bytes) else data.encode(), "f").findings
    assert any(text in str(finding) for finding in findings), findings


def test_the_other_documents_are_read_when_one_is_wrong() -> None:
    manifest = read_manifest(f"a: [\n---\n{A}".encode(), "f")
    assert len(manifest.findings) == 1
    assert [resource.name for resource in manifest.resources] == ["a"]


def test_aliases_of_all_documents_together_are_bounded() -> None:
    lines = [f"a{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 10)}]" for level in range(1, 5)]
    bomb = "\n".join([A.rstrip(), "a0: &x0 [1]", *lines, ""])
    whole = read_manifest(bomb.encode(), "f")
    assert whole.findings == ()
    many = read_manifest("---\n".join([bomb] * 100).encode(), "f")
    assert [finding.message for finding in many.findings] == [
        f"the file has more than {MAX_NODES} values, aliases expanded: give it in parts"
    ]
    assert len(many.resources) < 100


def test_documents_are_bounded() -> None:
    manifest = read_manifest(b"---\n#\n" * (MAX_DOCUMENTS + 5), "f")
    assert [finding.message for finding in manifest.findings] == [
        f"the file has more than {MAX_DOCUMENTS} documents: give it in parts"
    ]


def test_errors_are_bounded() -> None:
    for data in (b"[\n---\n" * 10 * MAX_FAULTS, f"{{apiVersion: v1, kind: List, items: [{'a, ' * 999}]}}".encode()):
        findings = read_manifest(data, "f").findings
        assert len(findings) == MAX_FAULTS + 1
        assert findings[-1].message == f"there are {MAX_FAULTS} errors or more: the rest of the file is not read"


def test_a_resource_says_what_and_where_it_is() -> None:
    (resource,) = read_manifest(f"---\n{A}".encode(), "f").resources
    assert repr(resource) == "<Resource Pod a at f:2>"
    assert isinstance(resource, Resource)

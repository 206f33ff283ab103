"""Reading YAML and JSON with places, in bounded time and memory."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.documents import Limits, Mark, Node, read_document

LIMITS = Limits(depth=8, nodes=100_000)


def plain(node: Node | None) -> Any:
    """The value without places."""
    if node is None:
        return None
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    return "" if node.is_null else node.value


READ = {
    "nothing": (b"", None),
    "only comments": (b"# a\n\n# b\n", None),
    "block": (b"a:\n  - b: 1\n    c: 'x'\n", {"a": [{"b": "1", "c": "x"}]}),
    "scalars keep their text": (
        b"[8000, 08, 0x10, true, 1.50, 2020-01-01]",
        ["8000", "08", "0x10", "true", "1.50", "2020-01-01"],
    ),
    "null is empty, its quoted name is not": (b"[null, ~, '', 'null']", ["", "", "", "null"]),
    "json with tabs": (b'{\n\t"a":\t[1,\t{"b": null}]\n}\n', {"a": ["1", {"b": ""}]}),
    "json with escapes": (b'{"a\\/b": "\\u00e9\\n"}', {"a/b": "é\n"}),
    "utf-8 with byte order mark": ("\ufeffa: é".encode(), {"a": "é"}),
    "utf-16": ("a: é".encode("utf-16"), {"a": "é"}),
    "an alias": (b"a: &x {b: 1}\nc: *x", {"a": {"b": "1"}, "c": {"b": "1"}}),
}

REFUSED = {
    "unclosed bracket": (b"a: [1\nb: 2", 2, "expected"),
    "tab as indentation": (b"a:\n\tb: 1", 2, "token"),
    "two documents": (b"a: 1\n---\nb: 2", 2, "second document"),
    "a key twice": (b"a: 1\nb: 2\na: 3", 3, "stands here again, first in line 1"),
    "a merge key": (b"a: &x {b: 1}\nc: {<<: *x}", 2, "merge keys"),
    "a tag": (b"a: !!python/object/apply:os.system [x]", 1, "tag"),
    "a key that is a list": (b"? [a]\n: 1", 1, "key"),
    "unknown alias": (b"a: *x", 1, "anchor"),
    "an alias in its own anchor": (b"a: &x [*x]", 1, "anchor"),
    "binary": (b"\x00\x01\x02", 1, "YAML"),
    "not utf-8": (b"a: \xff\xfe\xff", 1, "YAML"),
    "deep brackets": (b"[" * 100_000, 1, "nested"),
    "deep mappings": (b"{a: " * 100_000, 1, "nested"),
    "deep dashes": (b"- " * 100_000, 1, "nested"),
    "deep keys": (b"? " * 100_000, 1, "nested"),
}


@pytest.mark.parametrize(("data", "value"), READ.values(), ids=READ)
def test_a_document_is_read(data: bytes, value: object) -> None:
    document = read_document(data, LIMITS)
    assert document.faults == ()
    assert plain(document.root) == value


@pytest.mark.parametrize(("data", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_document_is_refused_with_its_place(data: bytes, line: int, reason: str) -> None:
    fault = read_document(data, LIMITS).faults[0]
    assert reason in fault.message
    assert fault.mark is not None
    assert fault.mark.line == line


def test_several_faults_are_told() -> None:
    document = read_document(b"a: !x 1\na: 2\nb: *y\n", LIMITS)
    assert [fault.mark for fault in document.faults] == [Mark(1, 4), Mark(2, 1), Mark(3, 4)]


def test_aliases_count_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    (fault,) = read_document("\n".join(lines).encode(), LIMITS).faults
    assert "more than 100000 values, aliases expanded" in fault.message


@pytest.mark.parametrize("data", [b"[" + b"a," * 500_000 + b"]", b"- a\n" * 250_000], ids=["flow", "block"])
def test_reading_ends_at_the_limit(data: bytes) -> None:
    (fault,) = read_document(data, Limits(depth=8, nodes=1000)).faults
    assert fault.message == "more than 1000 values, aliases expanded"


TREES = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(TREES)
def test_what_pyyaml_writes_is_read_back(tree: object) -> None:
    assert plain(read_document(yaml.safe_dump(tree, allow_unicode=True).encode(), LIMITS).root) == tree


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text("[]{}:-&*!|>'\"% \n\tab,?#", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    document = read_document(data, LIMITS)
    assert document.root is not None or document.faults or not plain(document.root)

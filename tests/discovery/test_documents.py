"""Reading YAML and JSON with lines, in bounded time and memory."""

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.documents import DocumentError, Node, read_document


def plain(node: Node | None) -> Any:
    """The value without lines."""
    if node is None:
        return None
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    return node.value


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
    "a merge key has no meaning": (b"a: &x {b: 1}\nc: {<<: *x}", {"a": {"b": "1"}, "c": {"<<": {"b": "1"}}}),
    "a tag has no meaning": (b"a: !!python/object/apply:os.system [x]", {"a": ["x"]}),
}

REFUSED = {
    "unclosed bracket": (b"a: [1\nb: 2", 2, "expected"),
    "tab as indentation": (b"a:\n\tb: 1", 2, "token"),
    "two documents": (b"a: 1\n---\nb: 2", 2, "second document"),
    "a key twice": (b"a: 1\nb: 2\na: 3", 3, "twice"),
    "a key that is a list": (b"? [a]\n: 1", 1, "key"),
    "unknown alias": (b"a: *x", 1, "anchor"),
    "an alias in its own anchor": (b"a: &x [*x]", 1, "anchor"),
    "binary": (b"\x00\x01\x02", None, "YAML"),
    "not utf-8": (b"a: \xff\xfe\xff", None, "YAML"),
    "deep brackets": (b"[" * 100_000, 1, "nested"),
    "deep mappings": (b"{a: " * 100_000, 1, "nested"),
    "deep dashes": (b"- " * 100_000, 1, "nested"),
    "deep keys": (b"? " * 100_000, 1, "nested"),
}


@pytest.mark.parametrize(("data", "value"), READ.values(), ids=READ)
def test_a_document_is_read(data: bytes, value: object) -> None:
    assert plain(read_document(data)) == value


@pytest.mark.parametrize(("data", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_document_is_refused_with_its_line(data: bytes, line: int | None, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason) as caught:
        read_document(data)
    assert caught.value.line == line


def test_aliases_of_aliases_copy_nothing() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    document = read_document("\n".join(lines).encode())
    assert document is not None
    assert isinstance(document.value, dict)
    last = document.value["a39"].value
    assert isinstance(last, list)
    assert last[0] is last[8]


TREES = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(TREES)
def test_what_pyyaml_writes_is_read_back(tree: object) -> None:
    assert plain(read_document(yaml.safe_dump(tree, allow_unicode=True).encode())) == tree


@given(st.binary(max_size=200) | st.text("[]{}:-&*!|>'\"% \n\tab,?#", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DocumentError):
        read_document(data)

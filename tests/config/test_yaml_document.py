from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.config.errors import Findings, Place
from epp.config.yaml_document import LIMITS, MAX_BYTES, Json, Node, read_document, resolve_scalar


def read(data: bytes) -> tuple[Node | None, list[str]]:
    findings = Findings()
    node = read_document(data, "f", findings)
    return node, [str(problem) for problem in findings.errors]


VALUES: dict[str, Json] = {
    "a: 1": {"a": 1},
    "a: [1, -2, 0.5, 1e3, .5]": {"a": [1, -2, 0.5, 1000.0, 0.5]},
    "a: yes\nb: Off\nc: true": {"a": True, "b": False, "c": True},
    "a: '1'\nb: \"yes\"": {"a": "1", "b": "yes"},
    "a: 007\nb: 1_000\nc: .inf\nd: 1:30\ne: 2024-01-01\nf: 0x10": {
        "a": "007", "b": "1_000", "c": ".inf", "d": "1:30", "e": "2024-01-01", "f": "0x10",
    },
    "a: 123456789012345678901": {"a": 123456789012345678901.0},
    "a:\nb: ~\nc: [null]": {"c": [None]},
    '{"a": {"b": [1, "x"]},\n\t"c": null}': {"a": {"b": [1, "x"]}},
    "a: &x {b: 1}\nc: *x": {"a": {"b": 1}, "c": {"b": 1}},
    "a: |\n  two\n  lines\n": {"a": "two\nlines\n"},
    "": None,
    "# nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("text", VALUES, ids=repr)
def test_values(text: str) -> None:
    node, errors = read(text.encode())
    assert errors == []
    assert (node.plain() if node else None) == VALUES[text]


def test_nodes_know_their_place() -> None:
    node, _ = read(b"a:\n  b: [1,\n      two]\n")
    assert node is not None
    inner = node.child("a")
    assert inner is not None
    assert (inner.place, inner.keys["b"]) == (Place("f", 2, 3), Place("f", 2, 3))
    assert [item.place for item in (inner.child("b") or node).items()] == [Place("f", 2, 7), Place("f", 3, 7)]


FAULTS = {
    "a: !!python/name:os.system x": "f:1:4: tag 'tag:yaml.org,2002:python/name:os.system': tags have no meaning here",
    "a: !own {b: 1}": "f:1:4: tag '!own'",
    "a: 1\nb: 2\na: 3": "f:3:1: key 'a' stands here again, first in line 1",
    "a: &x {b: 1}\nc: {<<: *x}": "f:2:5: merge keys have no meaning here",
    "a: *x": "f:1:4: alias *x has no anchor &x before it",
    "? [a]\n: 1": "f:1:3: a key must be text",
    "a: 1\n---\nb: 1": "f:2:1: a second document begins here",
    "a: [1, 2": "f:1:1: not valid YAML: while parsing a flow sequence that begins in line 1",
    "a: b: c": "f:1:5: not valid YAML: mapping values are not allowed in this context",
    "a: 1\nb: \x07": "f:2:4: not YAML or JSON text",
    "[" * 5000: f"f:1:{LIMITS.depth + 2}: nested more than {LIMITS.depth} levels deep",
    "a: [" + "1," * LIMITS.nodes + "]": f"more than {LIMITS.nodes} values",
    " " * (MAX_BYTES + 1): f"f:1:1: larger than {MAX_BYTES} bytes",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: repr(text[:20]))
def test_a_fault_is_told_with_its_place(text: str) -> None:
    _, errors = read(text.encode())
    assert len(errors) == 1
    assert FAULTS[text] in errors[0]


def test_several_faults_are_told_at_once() -> None:
    _, errors = read(b"a: !x 1\na: 2\nb: *y\n")
    assert len(errors) == 3


def test_aliases_count_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 9)]
    _, errors = read("\n".join(lines).encode())
    assert errors == [error for error in errors if "aliases expanded" in error]
    assert len(errors) == 1


def test_bytes_that_are_no_text_are_a_fault() -> None:
    _, errors = read(b"a: \xff\xfe\n")
    assert len(errors) == 1
    assert errors[0].startswith("f:1:")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    node, errors = read(data)
    assert node is None or errors == [] or all(error.startswith("f:") for error in errors)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp", "Cc"]), max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXY:# -é", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON_VALUES)
def test_what_pyyaml_writes_is_read_as_it_was(value: Json) -> None:
    node, errors = read(yaml.safe_dump({"a": value}, allow_unicode=True).encode())
    assert errors == [] or any("merge" in error for error in errors)
    assert node is None or errors or node.plain() == _without_nulls({"a": value})


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", ["12", "-1", "0", "1.5", "true", "no", "null"])
def test_only_plain_scalars_are_resolved(text: str) -> None:
    assert not isinstance(resolve_scalar(text), str)
    node, _ = read(f'a: "{text}"'.encode())
    assert node is not None
    assert node.plain() == {"a": text}

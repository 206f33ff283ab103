"""What is written reads as what it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.documents import Limits, Mark, Node, read_document
from epp.manifests.nodes import mapping, number, sequence, text
from epp.manifests.writing import text_size, write_document

LIMITS = Limits(depth=50, nodes=10_000)

WRITTEN = {
    "text": (text("Llama-3.1/x"), "Llama-3.1/x"),
    "text that looks like a number": (text("8000"), "'8000'"),
    "text that looks like a float": (text("1e3"), "'1e3'"),
    "text that is a word": (text("Yes"), "'Yes'"),
    "text that is nothing": (text(""), "''"),
    "null as text": (text("null"), "'null'"),
    "text with a colon": (text("a: b"), "'a: b'"),
    "lines": (text("a\nb\n"), "|\n  a\n  b"),
    "a number": (number(8000), "8000"),
    "an octal that was plain": (Node("0755", Mark(1, 1), plain=True), "0755"),
    "nothing that was plain": (Node("", Mark(1, 1), plain=True), ""),
    "an empty list": (sequence([]), "[]"),
    "an empty mapping": (mapping({}), "{}"),
}


@pytest.mark.parametrize(("node", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_scalars(node: Node, expected: str) -> None:
    assert write_document(mapping({"a": node})).rstrip() == f"a: {expected}".rstrip()


def test_layout_is_that_of_kubectl() -> None:
    node = mapping({"b": sequence([mapping({"x": number(1), "z": text("w")})]), "a": mapping({"c": text("d")})})
    assert write_document(node) == "b:\n- x: 1\n  z: w\na:\n  c: d\n"


def test_keys_that_look_like_something_else_are_quoted() -> None:
    assert write_document(mapping({"on": text("a"), "8080": text("b")})) == "'on': a\n'8080': b\n"


def test_size_counts_what_aliases_bring() -> None:
    read = read_document(b"a: &x hello\nb: [*x, *x]", LIMITS)
    assert read.root is not None
    assert text_size(read.root) == len("a") + len("b") + 3 * len("hello")


def contents(node: Node) -> Any:
    """Content with the difference between text and what was plain, which decides what a scalar means."""
    if isinstance(node.value, list):
        return [contents(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: contents(value) for key, value in node.value.items()}
    return yaml.safe_load(node.value) if node.plain else node.value


SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t"), max_size=20).map(text),
    st.integers(-(2**40), 2**40).map(number),
    st.sampled_from(["true", "null", "~", "0755", "1.50", "0x1f", "no"]).map(lambda word: Node(word, Mark(1, 1), True)),
)
KEYS = st.text(st.characters(codec="ascii", min_codepoint=32), max_size=10).filter(lambda key: key != "<<")
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4).map(sequence) | st.dictionaries(KEYS, inner, max_size=4).map(mapping),
    max_leaves=20,
)


@given(tree=st.dictionaries(KEYS, TREES, max_size=4).map(mapping))
def test_what_is_written_can_be_read_and_means_the_same(tree: Node) -> None:
    read = read_document(write_document(tree).encode(), LIMITS)
    assert read.faults == ()
    assert read.root is not None
    assert contents(read.root) == contents(tree)

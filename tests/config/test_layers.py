from __future__ import annotations

import pytest

from epp.config.errors import Findings, Place
from epp.config.layers import layer, leaf, leaves, overlay
from epp.config.yaml_document import Json, Node, read_document


def node(text: str) -> Node:
    found = read_document(text.encode(), "f", Findings())
    assert found is not None
    return found


MERGES: dict[str, tuple[str, str, Json]] = {
    "both speak": ("{a: 1, b: {c: 2}}", "{b: {c: 3, d: 4}}", {"a": 1, "b": {"c": 3, "d": 4}}),
    "a list counts as a whole": ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
    "nothing says nothing": ("{a: 1}", "{a: , b: }", {"a": 1}),
    "something for nothing": ("{a: , b: }", "{a: {c: 1}, b: 2}", {"a": {"c": 1}, "b": 2}),
    "what must be a mapping stays wrong": ("{a: 1}", "{a: {b: 2}}", {"a": 1}),
}


@pytest.mark.parametrize("case", MERGES)
def test_the_higher_layer_counts(case: str) -> None:
    low, high, merged = MERGES[case]
    assert overlay(node(low), node(high), None).plain() == merged


def test_a_value_that_loses_is_a_warning_unless_it_is_the_same() -> None:
    findings = Findings()
    overlay(
        node("{a: {b: 1, c: 2}}"),
        layer([(("a", "b"), leaf(5, Place("--b"))), (("a", "c"), leaf(2, Place("--c")))]),
        findings,
    )
    assert [str(warning) for warning in findings.warnings] == ["f:1:9: epp.a.b: 1 has no effect: --b says 5"]


def test_values_keep_their_places() -> None:
    merged = overlay(node("{a: {b: 1}}"), layer([(("a", "c"), leaf([1], Place("--c")))]), None)
    assert [(path, value.place) for path, value in leaves(merged)] == [
        (("a", "b"), Place("f", 1, 9)),
        (("a", "c"), Place("--c")),
    ]
    inner = merged.child("a")
    assert inner is not None
    assert inner.keys == {"b": Place("f", 1, 6), "c": Place("--c")}


def test_a_layer_of_nothing_is_empty() -> None:
    assert layer([]).plain() == {}
    assert overlay(layer([]), node("{a: 1}"), None).place == Place("f", 1, 1)

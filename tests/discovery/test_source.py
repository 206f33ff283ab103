"""Merging sets, and publishing changes only."""

from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.source import ChangesOnly, merge
from epp.endpoints.types import EndpointSpec

SPECS = st.builds(EndpointSpec, st.sampled_from(["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]), st.sampled_from(["", "a"]))
SETS = st.lists(st.lists(SPECS, max_size=4), max_size=8)


@given(SETS)
def test_a_merged_set_has_every_address_once_with_the_last_word(sets: list[list[EndpointSpec]]) -> None:
    everything = [spec for specs in sets for spec in specs]
    merged = merge(sets)
    assert len({spec.address for spec in merged}) == len(merged)
    assert {spec.address: spec for spec in merged} == {spec.address: spec for spec in everything}


@given(SETS)
def test_a_set_is_published_when_and_only_when_it_differs(sets: list[list[EndpointSpec]]) -> None:
    published: list[dict[str, EndpointSpec]] = []
    changes = ChangesOnly(lambda specs: published.append({spec.address: spec for spec in specs}))
    shown: list[dict[str, EndpointSpec]] = []
    for specs in sets:
        changes(specs)
        current = {spec.address: spec for spec in specs}
        if not shown or shown[-1] != current:
            shown.append(current)
    assert published == shown


def test_another_order_is_no_change_but_another_label_is() -> None:
    published: list[int] = []
    changes = ChangesOnly(lambda specs: published.append(len(specs)))
    a, b = EndpointSpec("10.0.0.1:1"), EndpointSpec("10.0.0.2:1")
    changes([a, b])
    changes([b, a])
    changes([a, EndpointSpec("10.0.0.2:1", labels={"role": "decode"})])
    assert published == [2, 2]

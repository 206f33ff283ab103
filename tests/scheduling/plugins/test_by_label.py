from collections.abc import Sequence

import pytest

from epp.scheduling.plugins.by_label import ByLabelFilter, DecodeFilter, EncodeFilter, PrefillFilter
from tests.scheduling.plugins.contract import chat, kept, pool_with, spec, view

ROLES = ["decode", "prefill", "encode", "prefill-decode", "encode-prefill", "encode-prefill-decode", "both", "other"]

PASSES = {
    DecodeFilter: {"decode", "prefill-decode", "both", "encode-prefill-decode", None},
    PrefillFilter: {"prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"},
    EncodeFilter: {"encode", "encode-prefill", "encode-prefill-decode"},
}


@pytest.mark.parametrize("role_filter", PASSES)
def test_roles_pass_as_in_the_go_picker(role_filter: type) -> None:
    roles = [*ROLES, "", None]
    pool = pool_with([spec(row, {"llm-d.ai/role": role} if role is not None else {}) for row, role in enumerate(roles)])
    expected = [row for row, role in enumerate(roles) if role in PASSES[role_filter]]
    assert kept(role_filter(), chat(), view(pool)) == expected


@pytest.mark.parametrize(
    ("values", "allows_no_label", "expected"),
    [
        (["a"], False, [0]),
        (["a", "b"], False, [0, 1]),
        (["a"], True, [0, 3]),
        ([], True, [3]),
        (["x"], False, []),
        ([""], False, [2, 3]),
    ],
)
def test_endpoints_pass_by_value(values: Sequence[str], *, allows_no_label: bool, expected: list[int]) -> None:
    pool = pool_with([spec(0, {"k": "a"}), spec(1, {"k": "b"}), spec(2, {"k": ""}), spec(3, {"other": "a"})])
    assert kept(ByLabelFilter("k", tuple(values), allows_no_label), chat(), view(pool)) == expected


def test_new_labels_count_at_once() -> None:
    pool, plugin = pool_with([spec(0, {"k": "a"}), spec(1)]), ByLabelFilter("k", ("a",))
    assert kept(plugin, chat(), view(pool)) == [0]
    pool.replace([spec(0), spec(1, {"k": "a"})], now=1.0)
    assert kept(plugin, chat(), view(pool)) == [1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (("", ("a",)), "label is missing or empty"),
        (("k",), "validValues is empty and allowsNoLabel is false: no endpoint would be kept"),
    ],
)
def test_what_could_keep_nobody_is_refused(parameters: tuple[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByLabelFilter(*parameters)

import pytest

from epp.scheduling.plugins.header_label_affinity import HeaderLabelAffinityScorer
from tests.scheduling.plugins.contract import chat, opaque, pool_with, scored, spec, view


def make_pool() -> object:
    return pool_with([spec(0, {"zone": "a"}), spec(1, {"zone": "b"}), spec(2), spec(3, {"zone": ""})])


CASES = {
    "equal": ({"X-Zone": "a"}, [1, 0, 0, 0]),
    "another": ({"x-zone": "b"}, [0, 1, 0, 0]),
    "nobody's": ({"x-zone": "c"}, [0, 0, 0, 0]),
    "case matters in values": ({"x-zone": "A"}, [0, 0, 0, 0]),
    "an empty header wants nothing": ({"x-zone": ""}, [0, 0, 0, 0]),
    "no header": ({}, [0, 0, 0, 0]),
    "not text": ({"x-zone": "\udcff"}, [0, 0, 0, 0]),
}


@pytest.mark.parametrize(("headers", "expected"), CASES.values(), ids=CASES)
def test_scores_follow_the_go_picker(headers: dict[str, str], expected: list[float]) -> None:
    assert scored(HeaderLabelAffinityScorer("X-Zone", "zone"), chat(headers), view(make_pool())) == expected


def test_a_request_without_headers_prefers_nobody() -> None:
    assert scored(HeaderLabelAffinityScorer("x-zone", "zone"), opaque(), view(make_pool())) == [0, 0, 0, 0]


@pytest.mark.parametrize(("parameters", "missing"), [(("", "zone"), "headerName"), (("x-zone", ""), "labelKey")])
def test_both_parameters_are_required(parameters: tuple[str, str], missing: str) -> None:
    with pytest.raises(ValueError, match=f"{missing} is missing or empty; it is required"):
        HeaderLabelAffinityScorer(*parameters)

import pytest

from epp.endpoints import EndpointSpec
from epp.scheduling.plugins.header_based_testing import HEADER, HeaderBasedTestingFilter
from tests.scheduling.plugins.contract import chat, kept, opaque, pool_with, view

ADDRESSES = ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000", "[fd00::1]:8000"]

HEADERS = {
    "ip means all its ports": ("10.0.0.1", [0, 1]),
    "ip and port": ("10.0.0.1:8001", [1]),
    "several": ("10.0.0.2 ,10.0.0.1:8000", [0, 2]),
    "v6 and port": ("[fd00::1]:8000", [3]),
    "v6 in brackets": ("[fd00::1]", [3]),
    "bare v6, written at length": ("fd00:0:0:0:0:0:0:1", [3]),
    "one of another pool": ("10.9.9.9", []),
    "one of another pool beside one of ours": ("10.9.9.9,10.0.0.2", [2]),
    "another port": ("10.0.0.2:9999", []),
    "nonsense": ("pod-1,,:80,[,10.0.0.2:x,10.0.0.2:" + "9" * 5000, []),
    "nonsense beside one of ours": ("what,10.0.0.2", [2]),
    "empty": ("", []),
    "blank": ("  ", []),
}


@pytest.mark.parametrize(("header", "expected"), HEADERS.values(), ids=HEADERS)
def test_keeps_what_the_header_names(header: str, expected: list[int]) -> None:
    pool = pool_with([EndpointSpec(address) for address in ADDRESSES])
    assert kept(HeaderBasedTestingFilter(), chat({HEADER: header}), view(pool)) == expected


def test_without_the_header_all_are_kept() -> None:
    pool = pool_with([EndpointSpec(address) for address in ADDRESSES])
    assert kept(HeaderBasedTestingFilter(), chat(), view(pool)) == [0, 1, 2, 3]
    assert kept(HeaderBasedTestingFilter(), opaque(), view(pool)) == [0, 1, 2, 3]


def test_only_candidates_can_be_named() -> None:
    pool = pool_with([EndpointSpec(address) for address in ADDRESSES])
    assert kept(HeaderBasedTestingFilter(), chat({HEADER: "10.0.0.1"}), view(pool, rows=[1, 2])) == [0]

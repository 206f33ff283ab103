import numpy as np
import pytest

from epp.endpoints import EndpointPool
from epp.scheduling.plugins.round_robin import RoundRobinPicker
from tests.scheduling.plugins.contract import chat, place, pool_with, view


def turns(picker: RoundRobinPicker, pool: EndpointPool, count: int, rows: list[int] | None = None) -> list[int]:
    """Table rows that get the next requests."""
    taken = []
    for _ in range(count):
        look = view(pool, rows=rows)
        (index,) = picker.pick(np.zeros(len(look)), look)
        taken.append(int(look.rows[index]))
        place(picker, chat(), pool, taken[-1])
    return taken


def test_endpoints_take_turns() -> None:
    assert turns(RoundRobinPicker(), pool_with(3), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_values_do_not_matter() -> None:
    look = view(pool_with(3))
    assert RoundRobinPicker().pick(np.array([0.0, 9.0, 1.0]), look).tolist() == [0]


def test_who_is_no_candidate_is_passed_over() -> None:
    picker, pool = RoundRobinPicker(), pool_with(5)
    assert turns(picker, pool, 4, rows=[1, 3]) == [1, 3, 1, 3]
    assert turns(picker, pool, 3) == [4, 0, 1]


def test_only_placements_take_turns() -> None:
    picker, look = RoundRobinPicker(), view(pool_with(3))
    assert [int(picker.pick(np.zeros(3), look)[0]) for _ in range(3)] == [0, 0, 0]


def test_a_list_goes_on_in_order() -> None:
    picker, pool = RoundRobinPicker(max_num_of_endpoints=3), pool_with(4)
    place(picker, chat(), pool, 2)
    assert picker.pick(np.zeros(4), view(pool)).tolist() == [3, 0, 1]
    assert RoundRobinPicker(max_num_of_endpoints=9).pick(np.zeros(2), view(pool_with(2))).tolist() == [0, 1]


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="maxNumOfEndpoints is 0; it must be at least 1"):
        RoundRobinPicker(0)

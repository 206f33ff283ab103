import numpy as np

from epp.endpoints import EndpointSpec
from epp.scheduling.plugins.spec_column import SpecColumn
from tests.scheduling.plugins.contract import pool_with, spec, view


def numbers() -> tuple[SpecColumn[int, np.int64], list[str]]:
    asked: list[str] = []

    def read(one: EndpointSpec) -> int:
        asked.append(one.address)
        return int(one.labels.get("n", "-1"))

    return SpecColumn(read, 0, np.int64), asked


def test_specs_are_read_once_per_change_of_the_table() -> None:
    column, asked = numbers()
    pool = pool_with([spec(0, {"n": "5"}), spec(1)])
    assert [column.of(view(pool)).tolist() for _ in range(3)] == [[5, -1]] * 3
    assert len(asked) == 2
    pool.replace([spec(0, {"n": "6"}), spec(1), spec(2, {"n": "7"})], now=1.0)
    assert column.of(view(pool)).tolist() == [6, -1, 7]
    assert len(asked) == 5


def test_values_are_those_of_the_candidates() -> None:
    column, _ = numbers()
    pool = pool_with([spec(row, {"n": str(row)}) for row in range(5)])
    pool.replace([spec(row, {"n": str(row)}) for row in (0, 2, 4)], now=1.0)
    assert column.of(view(pool)).tolist() == [0, 2, 4]
    assert column.of(view(pool, rows=[4])).tolist() == [4]


def test_two_pools_are_told_apart() -> None:
    column, _ = numbers()
    first, second = pool_with([spec(0, {"n": "1"})]), pool_with([spec(0, {"n": "2"})])
    assert [column.of(view(pool)).tolist() for pool in (first, second, first)] == [[1], [2], [1]]


def test_a_value_can_be_replaced_until_specs_are_read_again() -> None:
    column, _ = numbers()
    column.put(spec(0).address, 9)
    pool = pool_with([spec(0), spec(1)])
    assert column.of(view(pool)).tolist() == [-1, -1]
    column.put(spec(1).address, 9)
    column.put(spec(5).address, 9)
    assert column.of(view(pool)).tolist() == [-1, 9]
    pool.replace([spec(0), spec(1)], now=1.0)
    column.put(spec(0).address, 9)
    assert column.of(view(pool)).tolist() == [-1, -1]


def test_changing_what_was_given_out_changes_nothing() -> None:
    column, _ = numbers()
    pool = pool_with([spec(0)])
    column.of(view(pool))[:] = 77
    assert column.of(view(pool)).tolist() == [-1]

from collections import Counter
from math import exp

import numpy as np
import pytest

from epp.scheduling.plugins.softmax import SoftmaxPicker
from tests.scheduling.plugins.contract import pool_with, view

DRAWS = 6000


def drawn(picker: SoftmaxPicker, values: list[float]) -> Counter[int]:
    look = view(pool_with(len(values)))
    return Counter(int(picker.pick(np.array(values), look)[0]) for _ in range(DRAWS))


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("values", [[0.0, -1.0], [-500.0, -900.0, -600.0], [1e9, 0.0, 5e8, 5e8]])
def test_frequencies_are_dynamo_s(temperature: float, values: list[float]) -> None:
    weights = [exp((value - max(values)) / (temperature * (max(values) - min(values)))) for value in values]
    found = drawn(SoftmaxPicker(temperature), values)
    for row, weight in enumerate(weights):
        assert found[row] / DRAWS == pytest.approx(weight / sum(weights), abs=0.03)


def test_without_temperature_the_best_is_taken() -> None:
    assert set(drawn(SoftmaxPicker(), [0.0, 3.0, 3.0, 1.0])) == {1, 2}


@pytest.mark.parametrize("values", [[7.0, 7.0], [-np.inf, -np.inf]], ids=["alike", "absurd"])
def test_what_is_alike_is_drawn_alike(values: list[float]) -> None:
    assert drawn(SoftmaxPicker(1.0), values)[0] / DRAWS == pytest.approx(0.5, abs=0.03)


def test_an_absurd_value_is_never_taken() -> None:
    assert set(drawn(SoftmaxPicker(1.0), [0.0, -np.inf])) == {0}


def test_a_list_holds_each_endpoint_once() -> None:
    picker = SoftmaxPicker(1.0, max_num_of_endpoints=3)
    order = picker.pick(np.array([0.0, 1.0, 2.0, 3.0]), view(pool_with(4)))
    assert len(order) == len(set(order.tolist())) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be at least 0"),
        ({"max_num_of_endpoints": 0}, "maxNumOfEndpoints is 0; it must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftmaxPicker(**parameters)  # type: ignore[arg-type]

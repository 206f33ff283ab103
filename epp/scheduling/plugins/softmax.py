"""`softmax-picker`: at random, the better the likelier."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from epp.scheduling.pickers import MaxScorePicker
from epp.scheduling.plugins.validation import at_least
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["SoftmaxPicker"]


@dataclass(slots=True)
class SoftmaxPicker:
    """Probability in proportion to exp((value - best) / (temperature * (best - worst))).

    So the worst is exp(1 / temperature) times less likely than the best, in whatever unit values are. Temperature 0,
    and values that are all alike: as `max-score-picker`. Source: Dynamo's `router_temperature`. Drawn by the largest of
    value + noise (Gumbel, 1954), which gives a list without repetition, too.
    """

    temperature: float = 0.0
    """0: the best alone, as Dynamo's default; 1: the worst a third as likely as the best."""
    max_num_of_endpoints: int = 1
    """Length of the ordered list that the proxy gets."""
    _best: MaxScorePicker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least("temperature", self.temperature, 0)
        self._best = MaxScorePicker(self.max_num_of_endpoints)

    def pick(self, values: Values, view: View) -> NDArray[np.int64]:
        """Indices in the order in which they were drawn."""
        best, worst = float(values.max()), float(values.min())
        if not self.temperature or not 0 < best - worst < inf:
            return self._best.pick(values, view)
        drawn = (values - best) / (best - worst) + self.temperature * view.rng.gumbel(size=len(values))
        return np.argsort(-drawn, kind="stable")[: self.max_num_of_endpoints]

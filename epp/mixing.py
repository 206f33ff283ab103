"""Numbers whose bits are spread evenly: for hashes of blocks, of choices and of workloads alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mixed"]

_SHIFT_1, _SHIFT_2, _SHIFT_3 = (np.array(bits, np.uint64) for bits in (30, 27, 31))
_FACTOR_1, _FACTOR_2 = (np.array(factor, np.uint64) for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number's bits spread over all 64. Source: the finisher of splitmix64 (Steele et al., 2014)."""
    numbers = numbers ^ (numbers >> _SHIFT_1)
    numbers *= _FACTOR_1
    numbers ^= numbers >> _SHIFT_2
    numbers *= _FACTOR_2
    numbers ^= numbers >> _SHIFT_3
    return numbers

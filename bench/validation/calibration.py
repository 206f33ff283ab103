"""Makes a cost model of measured prefills and decode steps. No IO.

A prefill is measured alone, from the request to its first token; a decode step in a batch of equals, as the time
between two tokens. Both are sums of `LinearCost`'s coefficients, so that least squares find them. Errors count as
shares of what was measured: a millisecond matters more in a short step. No coefficient is below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from bench.validation.results import Calibration
from epp.simulator.costs import LinearCost

__all__ = ["Decode", "Prefill", "cost_of", "fit"]

_COEFFICIENTS = 6
_AS_GOOD = 1e-9
"""Of the sum of squares: a smaller gain is rounding."""


@dataclass(frozen=True, slots=True)
class Prefill:
    """A prompt that was computed alone, nothing of it cached."""

    prompt_tokens: int
    steps: int
    """In which it was computed."""
    seconds: float
    """Until its first token."""

    @property
    def terms(self) -> tuple[float, ...]:
        """What each coefficient counts in it, in the order of `Calibration`."""
        return (self.steps, 0.0, 0.0, self.prompt_tokens, self.prompt_tokens**2, 1.0)


@dataclass(frozen=True, slots=True)
class Decode:
    """A step in which equal sequences decode a token each."""

    batch: int
    context_tokens: float
    """Of each sequence."""
    seconds: float

    @property
    def terms(self) -> tuple[float, ...]:
        """See Prefill."""
        return (1.0, self.batch, self.batch * self.context_tokens, 0.0, 0.0, 0.0)


def fit(measurements: Sequence[Prefill | Decode]) -> Calibration:
    """The coefficients that explain the measurements best. Needs six that differ, of both kinds."""
    seconds = np.array([one.seconds for one in measurements])
    shares = np.array([one.terms for one in measurements]) / seconds[:, None]
    found = _positive_least_squares(shares, np.ones(len(seconds)))
    errors = np.abs(shares @ found - 1.0)
    step_s, decode_seq_s, decode_context_token_s, prefill_token_s, prefill_attention_s, arrival_s = found.tolist()
    return Calibration(
        step_s=step_s,
        decode_seq_s=decode_seq_s,
        decode_context_token_s=decode_context_token_s,
        prefill_token_s=prefill_token_s,
        prefill_attention_s=prefill_attention_s,
        arrival_s=arrival_s,
        measurements=len(measurements),
        median_error=float(np.median(errors)),
        worst_error=float(errors.max()),
    )


def cost_of(calibration: Calibration) -> LinearCost:
    """The cost model."""
    return LinearCost(
        step_s=calibration.step_s,
        decode_seq_s=calibration.decode_seq_s,
        decode_context_token_s=calibration.decode_context_token_s,
        prefill_token_s=calibration.prefill_token_s,
        prefill_attention_s=calibration.prefill_attention_s,
        arrival_s=calibration.arrival_s,
    )


def _positive_least_squares(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of at least 0. There are 64 ways to leave some out, and the best is one of them without signs."""
    scale = np.abs(terms).max(axis=0)
    best, least = np.zeros(_COEFFICIENTS), float(values @ values)
    everything = range(_COEFFICIENTS)
    for chosen in chain.from_iterable(combinations(everything, size) for size in range(1, _COEFFICIENTS + 1)):
        some = list(chosen)
        found = np.linalg.lstsq(terms[:, some] / scale[some], values, rcond=None)[0] / scale[some]
        residual = values - terms[:, some] @ found
        squares = float(residual @ residual)
        if (found >= 0).all() and squares < least * (1 - _AS_GOOD):
            best, least = np.zeros(_COEFFICIENTS), squares
            best[some] = found
    return best

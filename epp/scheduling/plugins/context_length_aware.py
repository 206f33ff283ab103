"""`context-length-aware`: endpoints whose label says that they are for prompts of this length."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from epp.endpoints import EndpointSpec
from epp.requests import InferenceRequest, Operation
from epp.scheduling.plugins.spec_column import SpecColumn
from epp.scheduling.plugins.validation import given
from epp.scheduling.types import Mask, Values
from epp.scheduling.view import View

__all__ = ["ContextLengthAware", "range_of"]

_RANGE = re.compile(r"\s*\+?([0-9]{1,18})\s*-\s*\+?([0-9]{1,18})\s*", re.ASCII)

_OUTSIDE = 0.3
"""Below every score of an endpoint whose range holds the prompt."""

_NO_RANGE = (float("nan"), float("nan"))
_BROKEN = (float("inf"), float("-inf"))
"""Holds nothing and is infinitely far from everything."""


def range_of(label: str) -> tuple[float, float]:
    """Tokens from and to of `min-max`, such as `0-2048`; an empty range for anything else."""
    match = _RANGE.fullmatch(label)
    if match is None or int(match[1]) > int(match[2]):
        return _BROKEN
    return float(match[1]), float(match[2])


@dataclass(slots=True)
class ContextLengthAware:
    """Filter and scorer in one. Source: llm-d-router `contextlengthaware`.

    Within the range: 0.3 + 0.7 * (0.7 / (1 + width / 10000) + 0.3 * headroom / width), 1 for a range of one length.
    Outside: 0.3 / (1 + distance / 1000). No label: 0.5, and kept. A label that is no range: 0, and not kept. Differs
    from the Go picker: a request whose length is not known is not taken for an empty one; all score 0.5 and are kept.
    """

    label: str = "llm-d.ai/context-length-range"
    """Label of an endpoint with its range, `min-max` in tokens."""
    enable_filtering: bool = False
    """Whether it filters where it stands among filters."""
    _ranges: SpecColumn[tuple[float, float], np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given("label", self.label)
        self._ranges = SpecColumn(self._read, _NO_RANGE, np.float64)

    def keep(self, request: InferenceRequest, view: View) -> Mask:
        """Boolean (n,)."""
        if not self.enable_filtering or request.operation is Operation.OPAQUE:
            return np.ones(len(view), np.bool_)
        low, high = self._ranges.of(view).T
        length = np.floor(view.features.prompt_tokens)
        keep: Mask = np.isnan(low) | ((low <= length) & (length <= high))
        return keep

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1]."""
        if request.operation is Operation.OPAQUE:
            return np.full(len(view), 0.5)
        low, high = self._ranges.of(view).T
        length = np.floor(view.features.prompt_tokens)
        inside = (low <= length) & (length <= high)
        width = np.where(inside, high - low, 0.0)
        headroom = np.where(width > 0, high - length, 0.0)
        fit = 0.7 / (1.0 + width / 10_000) + 0.3 * headroom / np.maximum(width, 1.0)
        within = np.where(width > 0, _OUTSIDE + (1.0 - _OUTSIDE) * fit, 1.0)
        outside = _OUTSIDE / (1.0 + np.maximum(0.0, np.maximum(length - high, low - length)) / 1000)
        return np.where(np.isnan(low), 0.5, np.where(inside, within, outside))

    def _read(self, spec: EndpointSpec) -> tuple[float, float]:
        label = spec.labels.get(self.label)
        return _NO_RANGE if label is None else range_of(label)

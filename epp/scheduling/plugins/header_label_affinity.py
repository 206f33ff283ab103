"""`header-label-affinity-scorer`: endpoints whose label has the value of a request header."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.spec_column import SpecColumn
from epp.scheduling.plugins.validation import given
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["HeaderLabelAffinityScorer"]


@dataclass(slots=True)
class HeaderLabelAffinityScorer:
    """1 where the label equals the header, else 0; all 0 without the header. Source: `headerlabelaffinity`."""

    header_name: str = ""
    """Required."""
    label_key: str = ""
    """Required."""
    _labels: SpecColumn[str | None, np.object_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given("headerName", self.header_name)
        given("labelKey", self.label_key)
        self._labels = SpecColumn(lambda spec: spec.labels.get(self.label_key), None, np.object_)

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,), 0 or 1."""
        wanted = request.headers.get(self.header_name.lower())
        if not wanted:
            return np.zeros(len(view))
        return np.equal(self._labels.of(view), wanted).astype(np.float64)

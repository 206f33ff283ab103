"""`lora-affinity-scorer`: endpoints that hold the adapter first, then those with a slot for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.endpoints import AdapterState
from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["LoraAffinityScorer"]

_BY_STATE = np.zeros(len(AdapterState))
_BY_STATE[AdapterState.RESIDENT] = 1.0
_BY_STATE[AdapterState.LOADABLE] = 0.8
_BY_STATE[AdapterState.QUEUED] = 0.6
_BY_STATE[AdapterState.BUSY] = 0.0


@dataclass(slots=True)
class LoraAffinityScorer:
    """Resident 1.0, a slot to load it into 0.8, queued for a slot 0.6, else 0. Source: llm-d-router `loraaffinity`.

    Differs from the Go picker: slots are replayed from our own placements, because servers list neither idle resident
    adapters nor, reliably, waiting ones. A request for no adapter scores 1 everywhere.
    """

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1]."""
        if not request.adapter:
            return np.ones(len(view))
        return _BY_STATE[view.adapter_states(request.adapter)]

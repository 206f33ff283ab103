"""`least-requests-cost`: the fewest requests under way."""

from __future__ import annotations

from dataclasses import dataclass

from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["LeastRequestsCost"]


@dataclass(slots=True)
class LeastRequestsCost:
    """Requests under way, from the decision on; those of others as far as scrapes show them.

    Source: the "least request" of general load balancers, such as Envoy's with all hosts looked at.
    """

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Requests, not tokens."""
        return view.outstanding

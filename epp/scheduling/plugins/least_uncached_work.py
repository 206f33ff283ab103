"""`least-uncached-work-cost`: the least prefill work left, this request's own included."""

from __future__ import annotations

from dataclasses import dataclass

from epp.requests import InferenceRequest
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["LeastUncachedWorkCost"]


@dataclass(slots=True)
class LeastUncachedWorkCost:
    """Prefill in front + prompt - matched, in tokens. Nothing to tune.

    Source: "least prefill work left" (LPWL) of the agentic-kvc study; Dynamo's cost without its decode term, and
    `token-load-scorer` without an upper end. Decoding does not count.
    """

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Tokens of prefill work."""
        waiting, uncached = view.backlog_tokens, view.uncached_tokens
        view.note("wait", waiting)
        view.note("prefill", uncached)
        return waiting + uncached

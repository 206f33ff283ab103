"""`destination-endpoint-served-verifier`: tells the client who served. For the conformance tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from epp.scheduling.types import Placement

__all__ = ["DestinationEndpointServedVerifier"]

_HEADER = "x-conformance-test-served-endpoint"
_MISSING = "fail: missing destination endpoint served metadata"


@dataclass(slots=True)
class DestinationEndpointServedVerifier:
    """Sets a header on the reply: the endpoint that the proxy reports, or that it reports none.

    Source: llm-d-router `test/responsereceived`.
    """

    def replied(self, placement: Placement, served: str | None) -> Mapping[str, str]:  # noqa: ARG002
        """The header to set."""
        return {_HEADER: served or _MISSING}

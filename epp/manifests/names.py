"""Groups, kinds and names of the Gateway API inference extension, in its older form and in today's."""

from __future__ import annotations

__all__ = [
    "OBJECTIVE",
    "OBJECTIVE_API",
    "OBJECTIVE_HEADER",
    "OLD_GROUP",
    "POOL",
    "POOL_API",
    "POOL_GROUP",
    "REWRITE",
]

OLD_GROUP = "inference.networking.x-k8s.io"
"""Of all resources before v1.0 of the extension, and of objectives and rewrites until they moved to llm-d."""

POOL_GROUP = "inference.networking.k8s.io"
POOL_API = f"{POOL_GROUP}/v1"
POOL = "InferencePool"

OBJECTIVE_API = "llm-d.ai/v1alpha2"
"""Of objectives and of rewrites."""
OBJECTIVE = "InferenceObjective"
REWRITE = "InferenceModelRewrite"

OBJECTIVE_HEADER = "x-gateway-inference-objective"
"""Understood by every picker that knows objectives; newer ones also take `x-llm-d-inference-objective`."""

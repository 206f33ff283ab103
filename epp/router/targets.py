"""Which model a request is for: rewrites by header and by rule, adapters, and what to do without a model or with an
unknown one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from epp.endpoints.models import ModelCatalog
from epp.requests import InferenceRequest, Operation
from epp.router.outcomes import Reason

__all__ = ["REWRITE_HEADERS", "ModelRewrite", "TargetSettings", "WeightedModel", "resolve"]

REWRITE_HEADERS = ("x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite")

_MAX_MODEL_CHARS = 1024
"""A longer name in a header is no model, and is passed over."""


@dataclass(frozen=True, slots=True)
class WeightedModel:
    """One target of a rewrite."""

    model: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class ModelRewrite:
    """Requests for one of `models` go to one of `targets`, at random by weight. No `models`: all that no other rule
    names. A request whose body names no model has nothing to rewrite, and keeps its way.
    """

    targets: tuple[WeightedModel, ...]
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Rules for models."""

    rewrites: tuple[ModelRewrite, ...] = ()
    """Exact rules come before general ones; among equals the first."""
    rewrite_by_header: bool = True
    """Clients and gateways may name the target in a header, as with the Go picker."""
    reject_missing_model: bool = False
    reject_unknown_model: bool = False
    """404 when every endpoint's list of models is known and none has the name."""


def resolve(
    request: InferenceRequest, settings: TargetSettings, catalog: ModelCatalog, rng: np.random.Generator
) -> InferenceRequest | Reason:
    """The request with its target model and adapter, or why it cannot be served."""
    target = _target(request, settings, rng) if request.model_span else request.model
    if target != request.target_model:
        request = replace(request, target_model=target)
    if request.operation is Operation.OPAQUE:
        return request
    if not target:
        return Reason.MODEL_MISSING if settings.reject_missing_model else request
    if settings.reject_unknown_model and not catalog.lists(target) and catalog.complete():
        return Reason.MODEL_UNKNOWN
    return replace(request, adapter=target) if catalog.is_adapter(target) else request


def _target(request: InferenceRequest, settings: TargetSettings, rng: np.random.Generator) -> str:
    if settings.rewrite_by_header:
        for name in REWRITE_HEADERS:
            asked = request.headers.get(name)
            if asked and len(asked) <= _MAX_MODEL_CHARS:
                return asked
    if rule := _rule(request.model, settings.rewrites):
        return _draw(rule.targets, rng)
    return request.model


def _rule(model: str, rewrites: Sequence[ModelRewrite]) -> ModelRewrite | None:
    exact = next((rule for rule in rewrites if model and model in rule.models), None)
    return exact or next((rule for rule in rewrites if not rule.models), None)


def _draw(targets: Sequence[WeightedModel], rng: np.random.Generator) -> str:
    if len(targets) == 1:
        return targets[0].model
    weights = np.array([target.weight for target in targets], np.float64)
    return targets[int(rng.choice(len(targets), p=weights / weights.sum()))].model

"""`utilization-filter`: caps on what an endpoint may have to do already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, given, one_of, within
from epp.scheduling.types import Mask, Values
from epp.scheduling.view import View

__all__ = ["Condition", "Metric", "UtilizationFilter"]

Metric = Literal["active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"]

_READ: Mapping[Metric, Callable[[View], Values]] = MappingProxyType(
    {
        "active-requests": lambda view: view.outstanding,
        "running-requests": lambda view: view.running,
        "waiting-queue": lambda view: view.waiting,
        "kv-cache-utilization": lambda view: view.kv_usage,
    }
)


@dataclass(frozen=True, slots=True)
class Condition:
    """The most that a metric may be."""

    metric: Metric
    """What is measured."""
    max_value: float
    """Requests; of `kv-cache-utilization` a share, 0 to 1."""

    def __post_init__(self) -> None:
        one_of("metric", self.metric, tuple(_READ))
        if self.metric == "kv-cache-utilization":
            within("maxValue", self.max_value, 0, 1)
        else:
            at_least("maxValue", self.max_value, 0)


@dataclass(slots=True)
class UtilizationFilter:
    """Keeps endpoints that meet all conditions. Source: llm-d-router `utilization`.

    Differs from the Go picker: old or missing metrics fade to the pool's worst instead of reading as 0; requests of
    others are active too, as far as scrapes show them.
    """

    judges_load: ClassVar[bool] = True

    conditions: tuple[Condition, ...] = ()
    """At least one."""
    fallback_on_empty: bool = False
    """Keep all when none meets the conditions."""
    in_flight_load_producer_name: str = ""
    """Without effect: there is one ledger."""

    def __post_init__(self) -> None:
        given("conditions", self.conditions)

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,)."""
        mask = np.ones(len(view), np.bool_)
        for condition in self.conditions:
            mask &= _READ[condition.metric](view) <= condition.max_value
        if self.fallback_on_empty and not mask.any():
            mask[:] = True
        return mask

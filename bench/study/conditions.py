"""The pools of the study: eight pods, and what is special about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from epp.commands.pool_files import default_pool, with_adapter_slots
from epp.simulator.scenario import Incident, IncidentKind, PickerSight, Scenario

__all__ = ["CONDITIONS", "HOMOGENEOUS", "scenario"]

HOMOGENEOUS = "homogeneous"

_FAST, _SLOW = 1.5, 0.5
"""3:1, with the sum of all pods as before."""

_SLOWED_SPEED = 0.3


def scenario(condition: str, duration_s: float) -> Scenario:
    """The pool of a condition, for a workload of that length."""
    return replace(CONDITIONS[condition](duration_s), name=condition)


def _homogeneous(duration_s: float) -> Scenario:  # noqa: ARG001 - nothing happens in it
    return with_adapter_slots(default_pool())


def _mixed(duration_s: float) -> Scenario:
    pool = _homogeneous(duration_s)
    pods = (replace(pod, speed=_SLOW if number % 2 else _FAST) for number, pod in enumerate(pool.pods))
    return replace(pool, pods=tuple(pods))


def _slowing(duration_s: float) -> Scenario:
    incident = Incident(duration_s / 2, 3, IncidentKind.SPEED, _SLOWED_SPEED)
    return replace(_homogeneous(duration_s), incidents=(incident,))


def _sight(duration_s: float, sight: PickerSight) -> Scenario:
    return replace(_homogeneous(duration_s), sight=sight)


CONDITIONS: Mapping[str, Callable[[float], Scenario]] = MappingProxyType(
    {
        HOMOGENEOUS: _homogeneous,
        "mixed speeds 3:1": _mixed,
        "one pod slows down": _slowing,
        "metrics 5 s old": lambda duration_s: _sight(duration_s, PickerSight(scrape_interval_s=5.0)),
        "two pickers": lambda duration_s: _sight(duration_s, PickerSight(replicas=2)),
        "lean mode": lambda duration_s: _sight(duration_s, PickerSight(lean=True)),
    }
)
"""By name, as functions of the workload's length in seconds."""

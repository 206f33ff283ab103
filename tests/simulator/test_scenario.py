"""Pools that cannot be are refused where they are made."""

from __future__ import annotations

from math import nan

import pytest

from epp.simulator import Incident, IncidentKind, PickerSight, Scenario, SimulatedPod
from epp.simulator.scenario import MAX_PODS

POD = SimulatedPod("a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scrape_interval_s": 0.0},
        {"scrape_interval_s": nan},
        {"scrape_delay_s": -1.0},
        {"reply_delay_s": nan},
        {"decision_s": -0.1},
        {"decision_per_mb_s": -0.1},
        {"reply_loss": 1.1},
        {"reply_loss": nan},
        {"replicas": 0},
        {"replicas": 65},
    ],
    ids=str,
)
def test_sight_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        PickerSight(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"speed": 0.0}, {"speed": nan}, {"price_per_hour": -1.0}, {"price_per_hour": nan}], ids=str
)
def test_pods_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="pod a"):
        SimulatedPod("a", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "incident",
    [
        Incident(-1.0, 0, IncidentKind.FAIL),
        Incident(nan, 0, IncidentKind.FAIL),
        Incident(1.0, 2, IncidentKind.FAIL),
        Incident(1.0, -1, IncidentKind.FAIL),
        Incident(1.0, 0, IncidentKind.SPEED, 0.0),
    ],
    ids=str,
)
def test_incidents_that_cannot_be(incident: Incident) -> None:
    with pytest.raises(ValueError):
        Scenario((POD, POD), incidents=(incident,))


def test_there_are_pods_but_not_too_many() -> None:
    for pods in ((), (POD,) * (MAX_PODS + 1)):
        with pytest.raises(ValueError, match=str(len(pods))):
            Scenario(pods)


def test_another_number_of_pods_repeats_the_kinds_and_drops_incidents_beyond() -> None:
    slow, fast = SimulatedPod("slow", speed=0.5), SimulatedPod("fast", speed=1.5)
    incidents = Incident(1.0, 0, IncidentKind.FAIL), Incident(1.0, 1, IncidentKind.FAIL)
    pool = Scenario((slow, fast), incidents=incidents)
    assert [(pod.name, pod.speed) for pod in pool.with_pods(3).pods] == [("pod-0", 0.5), ("pod-1", 1.5), ("pod-2", 0.5)]
    assert pool.with_pods(3).incidents == incidents
    assert pool.with_pods(1).incidents == incidents[:1]

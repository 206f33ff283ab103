"""What is simulated: the pods of a pool, what pickers can see of them, and what goes wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from epp.simulator.costs import COSTS, DEFAULT_COST, StepCost
from epp.simulator.scheduler import EngineSettings

__all__ = ["Incident", "IncidentKind", "PickerSight", "Scenario", "SimulatedPod"]

MAX_PODS = 4096
MAX_REPLICAS = 64


@dataclass(frozen=True, slots=True)
class SimulatedPod:
    """One model server. Raises ValueError for what cannot be."""

    name: str
    engine: EngineSettings = field(default_factory=EngineSettings)
    cost: StepCost = COSTS[DEFAULT_COST]
    """How long its steps take at a speed of 1."""
    speed: float = 1.0
    hardware: str = ""
    """Name of its hardware profile."""
    price_per_hour: float = 0.0
    """US dollars; 0: not known."""

    def __post_init__(self) -> None:
        if not self.speed > 0 or not self.price_per_hour >= 0:
            raise ValueError(f"pod {self.name}: speed must be more than 0, the price at least 0")


@dataclass(frozen=True, slots=True)
class PickerSight:
    """What pickers see, and how late. Raises ValueError for what cannot be."""

    scrape_interval_s: float = 1.0
    scrape_delay_s: float = 0.02
    """From the state that a metrics page shows to the moment when the picker has read it."""
    reply_delay_s: float = 0.001
    """From a token to the moment when the picker hears of it."""
    reply_loss: float = 0.0
    """Share of replies of which the picker sees nothing but the end, 0 to 1."""
    replicas: int = 1
    """Pickers that take requests in turn at random, and share nothing."""
    decision_s: float = 0.001
    """Time of a picker's only core for one decision; those that come meanwhile wait."""
    decision_per_mb_s: float = 0.0008
    """The same for each megabyte of prompt. Both are docs/performance.md's."""
    lean: bool = False
    """Replies pass unseen but for their headers and their end: no first token, no usage."""

    def __post_init__(self) -> None:
        times = (self.scrape_delay_s, self.reply_delay_s, self.decision_s, self.decision_per_mb_s)
        if not self.scrape_interval_s > 0 or not all(time >= 0 for time in times):
            raise ValueError("the scrape interval must be more than 0 s, delays and decision times at least 0 s")
        if not 0 <= self.reply_loss <= 1:
            raise ValueError(f"reply_loss is {self.reply_loss}; it is a share, 0 to 1")
        if not 1 <= self.replicas <= MAX_REPLICAS:
            raise ValueError(f"replicas is {self.replicas}; it must be between 1 and {MAX_REPLICAS}")


class IncidentKind(Enum):
    """What can happen to a pod; the value is its name in pool files."""

    SPEED = "speed"
    """From now on it runs at another speed."""
    FAIL = "fail"
    """Its engine dies: requests are lost, new ones are refused."""
    RESTART = "restart"
    """It begins anew with an empty cache; what it had is lost."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happens to one pod."""

    at_s: float
    """Seconds from the begin."""
    pod: int
    """Index of the pod."""
    kind: IncidentKind
    speed: float = 1.0
    """The new one, of SPEED."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A pool and its troubles. Raises ValueError for what cannot be."""

    pods: tuple[SimulatedPod, ...]
    sight: PickerSight = PickerSight()
    incidents: tuple[Incident, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.pods) <= MAX_PODS:
            raise ValueError(f"there are {len(self.pods)} pods; there must be 1 to {MAX_PODS}")
        for incident in self.incidents:
            if not 0 <= incident.pod < len(self.pods) or not incident.at_s >= 0 or not incident.speed > 0:
                raise ValueError(f"{incident} names no pod, a time before the begin, or no speed")

    def with_pods(self, count: int) -> Scenario:
        """The same kind of pool with another number of pods: its pods are repeated in turn, incidents beyond go.

        Raises ValueError for less than one pod or too many.
        """
        pods = tuple(replace(self.pods[n % len(self.pods)], name=f"pod-{n}") for n in range(count))
        return replace(self, pods=pods, incidents=tuple(one for one in self.incidents if one.pod < count))

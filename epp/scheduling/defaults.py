"""What runs without any configuration."""

from __future__ import annotations

from epp.scheduling.cost import LeastWorkCost
from epp.scheduling.pickers import RendezvousPicker
from epp.scheduling.profile import FaultListener, Profile, Slot

__all__ = ["default_profile"]


def default_profile(faults: FaultListener | None = None) -> Profile:
    """The default cost, with near ties told apart by rendezvous hashing."""
    return Profile(
        name="default",
        cost=Slot("least-work-cost", LeastWorkCost()),
        picker=Slot("rendezvous-picker", RendezvousPicker()),
        faults=faults,
    )

"""Decides where a request goes.

`features` prepares what the decision needs of the request; `view` shows the endpoints to plugins; `profile` runs
filters, scorers or a cost, and a picker; `scheduler` ties them into a `Decision` with its `trace`. `cost` is the
default; `pickers` and `plugins` are what configurations name. Sans-IO: time and randomness come in as arguments.
"""

from epp.scheduling.cost import LeastWorkCost
from epp.scheduling.defaults import default_profile
from epp.scheduling.features import Features, features_of, prepare
from epp.scheduling.pickers import MaxScorePicker, RandomPicker, RendezvousPicker, WeightedRandomPicker
from epp.scheduling.profile import FaultListener, Profile, Slot, Weighted
from epp.scheduling.scheduler import Restriction, Scheduler
from epp.scheduling.trace import CandidateExplanation, Explanation, Trace
from epp.scheduling.types import (
    Cost,
    Decision,
    Filter,
    FinishedHook,
    Outcome,
    Picker,
    PlacedHook,
    Placement,
    Refusal,
    RefusalCause,
    RepliedHook,
    Scorer,
)
from epp.scheduling.view import View

__all__ = [
    "CandidateExplanation",
    "Cost",
    "Decision",
    "Explanation",
    "FaultListener",
    "Features",
    "Filter",
    "FinishedHook",
    "LeastWorkCost",
    "MaxScorePicker",
    "Outcome",
    "Picker",
    "PlacedHook",
    "Placement",
    "Profile",
    "RandomPicker",
    "Refusal",
    "RefusalCause",
    "RendezvousPicker",
    "RepliedHook",
    "Restriction",
    "Scheduler",
    "Scorer",
    "Slot",
    "Trace",
    "View",
    "Weighted",
    "WeightedRandomPicker",
    "default_profile",
    "features_of",
    "prepare",
]

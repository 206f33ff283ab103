"""The workloads of the study of policies: named, sized and seeded. `python -m bench.workloads` lists them."""

from bench.workloads.catalogue import ALL, HELD_OUT, HELD_OUT_SEEDS, TUNING, TUNING_SEEDS, Entry, trace, workload
from bench.workloads.load import PODS, offered_load

__all__ = [
    "ALL",
    "HELD_OUT",
    "HELD_OUT_SEEDS",
    "PODS",
    "TUNING",
    "TUNING_SEEDS",
    "Entry",
    "offered_load",
    "trace",
    "workload",
]

"""Workloads: what clients ask of a pool, for the simulator to run and for load clients to send.

A *workload* is a list of *calls*; a call's prompt is a list of *segments*, pieces of text that are known by an id and a
length. Prefix relations follow from the segments, in tokens (`prefixes`) as in the text that is made of them (`text`).

Workloads come from recorded traces (`files` opens them, `formats` reads them) and from `generators`. Nothing here knows
servers or pickers. Formats of other tools are read into workloads, and never written.
"""

from epp.workloads.errors import WorkloadError
from epp.workloads.prefixes import call_names, prefix_names, reusable_tokens, seed_of_names
from epp.workloads.text import PATHS, body_of, text_of
from epp.workloads.types import Api, Call, Role, Segment, Workload

__all__ = [
    "PATHS",
    "Api",
    "Call",
    "Role",
    "Segment",
    "Workload",
    "WorkloadError",
    "body_of",
    "call_names",
    "prefix_names",
    "reusable_tokens",
    "seed_of_names",
    "text_of",
]

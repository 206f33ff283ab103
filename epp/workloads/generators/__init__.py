"""Generators of workloads: each a frozen dataclass of documented parameters, from which a seed makes calls.

One seed gives one workload. `specs` names all of them (`GENERATORS`) and reads the short form of the command line.
"""

from epp.workloads.generators.agents import Agents
from epp.workloads.generators.chat import Chat
from epp.workloads.generators.mix import Mix
from epp.workloads.generators.parameters import Parameters
from epp.workloads.generators.rag import DocumentOrder, Rag
from epp.workloads.generators.single_calls import (
    Bursts,
    Diurnal,
    Embeddings,
    Independent,
    LoraFleet,
    Outliers,
    SharedPrompt,
    Tenants,
)
from epp.workloads.generators.specs import GENERATORS, generate, generated, parse_spec

__all__ = [
    "GENERATORS",
    "Agents",
    "Bursts",
    "Chat",
    "Diurnal",
    "DocumentOrder",
    "Embeddings",
    "Independent",
    "LoraFleet",
    "Mix",
    "Outliers",
    "Parameters",
    "Rag",
    "SharedPrompt",
    "Tenants",
    "generate",
    "generated",
    "parse_spec",
]

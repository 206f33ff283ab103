"""The study's workloads: which generator, with which parameters, and for what.

Sized for 8 pods of the default engine at 60 to 75 % of what they could do if every reusable token were found in a cache
(`load.offered_load`), so that placement decides who waits; the crowded ones, where caches
do not hold all that is asked for again, at 40 to 60 %. Policies are tuned on `TUNING` with `TUNING_SEEDS` only;
`HELD_OUT` has other families of workloads, with seeds of its own, and tells how well they do on what they never saw.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from epp.workloads import Workload
from epp.workloads.files import load_workload
from epp.workloads.generators import (
    Agents,
    Bursts,
    Chat,
    Diurnal,
    Embeddings,
    Independent,
    LoraFleet,
    Mix,
    Outliers,
    Parameters,
    Rag,
    SharedPrompt,
    Tenants,
    generate,
)

__all__ = ["ALL", "HELD_OUT", "HELD_OUT_SEEDS", "TUNING", "TUNING_SEEDS", "Entry", "trace", "workload"]

TUNING_SEEDS = (1, 2, 3, 4, 5)
HELD_OUT_SEEDS = (101, 102, 103, 104, 105)


@dataclass(frozen=True, slots=True)
class Entry:
    """A workload of the study."""

    params: Parameters
    asks: str
    """The question that it puts to a policy."""


TUNING: Mapping[str, Entry] = MappingProxyType(
    {
        "independent": Entry(
            Independent(calls=800, rate_per_s=12.0, prompt_tokens=3000, output_tokens=200),
            "the control: nothing can be reused, only load counts",
        ),
        "shared-prompt": Entry(
            SharedPrompt(calls=1200, rate_per_s=17.0, system_tokens=4000, prompt_tokens=600),
            "every prompt begins alike: does it stay on one pod?",
        ),
        "chat": Entry(
            Chat(
                calls=1500,
                rate_per_s=13.0,
                tenants=30,
                think_s=6,
                first_tokens=1200,
                prompt_tokens=250,
                output_tokens=300,
            ),
            "short turns: does a conversation find its history, and do tenants spread?",
        ),
        "chat-documents": Entry(
            Chat(calls=1000, rate_per_s=6.2, tenants=4, first_tokens=7000, output_tokens=300),
            "a long document opens each conversation: losing it costs a second",
        ),
        "rag": Entry(
            Rag(calls=1000, rate_per_s=13.0),
            "documents overlap in part: is a partial match worth a queue?",
        ),
        "lora": Entry(
            LoraFleet(calls=1500, rate_per_s=20.0, prompt_tokens=800, output_tokens=250),
            "100 adapters do not fit into every pod's slots: are loads avoided?",
        ),
        "outliers": Entry(
            Outliers(calls=1000, rate_per_s=5.0),
            "prompts of 60,000 tokens and more block a pod: does anybody queue behind them?",
        ),
        "bursts": Entry(
            Bursts(calls=1500, rate_per_s=13.0),
            "ten times the load for 3 s: is a burst spread before metrics show it?",
        ),
        "tenant-bursts": Entry(
            Bursts(calls=1500, rate_per_s=11.0, tenants=20, system_tokens=5000, burst_s=2.0, one_tenant=True),
            "a burst with one system prompt: are enough copies made, and not too many?",
        ),
        "crowded-documents": Entry(
            Rag(
                calls=2500,
                rate_per_s=10.5,
                documents=400,
                document_tokens=8000,
                documents_per_call=1,
                popularity=0.7,
            ),
            "more documents than all caches hold: does each copy displace another?",
        ),
        "crowded-chat": Entry(
            Chat(
                calls=2000,
                rate_per_s=3.0,
                tenants=30,
                think_s=25,
                first_tokens=14000,
                prompt_tokens=200,
                output_tokens=200,
            ),
            "more conversations than all caches hold: are they found again after a pause?",
        ),
    }
)
"""By name; what policies may be tuned on."""

HELD_OUT: Mapping[str, Entry] = MappingProxyType(
    {
        "tenants": Entry(
            Tenants(calls=1200, rate_per_s=12.0, tenants=400, popularity=0.8, system_tokens=6000),
            "more system prompts than all caches hold: which are kept where?",
        ),
        "agents": Entry(
            Agents(calls=1500, rate_per_s=9.5, output_tokens=200),
            "contexts grow over 10 to 50 calls: do sessions stay, and yet spread?",
        ),
        "agent-teams": Entry(
            Agents(calls=1500, rate_per_s=10.0, kinds=6, system_tokens=9000, subagent_share=0.15, most_steps=30),
            "sub-agents share a long system prompt with many others: who goes where?",
        ),
        "diurnal": Entry(
            Diurnal(calls=1500, rate_per_s=15.0, tenants=100, system_tokens=4000, day_s=50.0),
            "idle at night, beyond the limit by day: is the cache kept for the day?",
        ),
        "embeddings": Entry(
            Embeddings(calls=1500, rate_per_s=22.0, tenants=30, embedded_tokens=1500, output_tokens=300),
            "prefills without answers between chats: is work counted, not requests?",
        ),
        "mix": Entry(
            Mix(calls=1500, rate_per_s=18.0),
            "conversations, agents and single calls at once: does one kind starve another?",
        ),
    }
)
"""By name; what nothing was tuned on."""

ALL: Mapping[str, Entry] = MappingProxyType({**TUNING, **HELD_OUT})


def workload(name: str, seed: int) -> Workload:
    """A workload of the study. Workloads of one seed are independent of one another. Raises KeyError."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return replace(generate(ALL[name].params, rng), name=name)


def trace(path: Path, calls: int = 1500) -> Workload:
    """The first calls of a recorded trace, as they came: held out, too. Raises WorkloadError."""
    return load_workload(path, most=calls)

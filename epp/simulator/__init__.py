"""Simulated vLLM servers: an engine model, and an HTTP server around it for the demo and the tests.

`engine` is a model of a vLLM engine without clock and IO, for drivers in real or virtual time. It gives time and
results to `scheduler` (who computes what in a step), which is made of `blocks` (the KV cache), `waiting` (the queue)
and `lora` (adapter slots); `costs` says how long a step takes, `sequences` has the types that go in and out.

Around it, what a server is: `tokens` and `chat` (text to tokens), `calls` (bodies to calls), `models`, `frontend`
(calls to sequences), `replies`, `messages`, `errors` and `metrics_page` (what clients see). Three edges await:
`driver` (an engine in real time), `server` (HTTP), `pods` (start, break and stop servers, as `settings` say).
"""

from epp.simulator.costs import COSTS, LinearCost, MockerCost, StepCost, StepWork
from epp.simulator.engine import Engine
from epp.simulator.pods import SimPod, SimPods, run_sim_server, serve
from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import (
    EngineMetrics,
    Finish,
    Finished,
    FirstToken,
    Refusal,
    RequestId,
    SimRequest,
    StepResult,
)
from epp.simulator.settings import PodSettings, SimServerSettings

__all__ = [
    "COSTS",
    "Engine",
    "EngineMetrics",
    "EngineSettings",
    "Finish",
    "Finished",
    "FirstToken",
    "LinearCost",
    "MockerCost",
    "PodSettings",
    "Refusal",
    "RequestId",
    "SimPod",
    "SimPods",
    "SimRequest",
    "SimServerSettings",
    "StepCost",
    "StepResult",
    "StepWork",
    "run_sim_server",
    "serve",
]

"""Simulated vLLM servers: an engine model, and an HTTP server around it for the demo and the tests.

`engine` is a model of a vLLM engine without clock and IO, for drivers in real or virtual time. It gives time and
results to `scheduler` (who computes what in a step), which is made of `blocks` (the KV cache), `host_tier` (what it
evicted), `waiting` (the queue) and `lora` (adapter slots); `steps` is what is computed meanwhile. `costs` says how long
a step takes, `hardware` on what, `sequences` has the types that go in and out.

Around it, what a server is: `tokens` and `chat` (text to tokens), `calls` (bodies to calls), `models`, `frontend`
(calls to sequences), `replies`, `messages`, `errors` and `metrics_page` (what clients see). Three edges await:
`driver` (an engine in real time), `server` (HTTP), `pods` (start, break and stop servers, as `settings` say).

And the same engines in virtual time: `simulation` is a pool with its pickers, as a `scenario` describes it; `prepared`
is a workload as engines and pickers know it, `replica` one picker, `recorder` writes down what becomes of each call,
`oracles` are policies that know the true state. `runner` makes many runs on all cores.
"""

from epp.simulator.costs import COSTS, LinearCost, MockerCost, StepCost, StepWork
from epp.simulator.engine import Engine
from epp.simulator.hardware import HARDWARE, STEP_COSTS, HardwareProfile
from epp.simulator.pods import SimPod, SimPods, run_sim_server, serve
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.scenario import Incident, IncidentKind, PickerSight, Scenario, SimulatedPod
from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import (
    Counters,
    EngineMetrics,
    Finish,
    Finished,
    FirstToken,
    Gauges,
    Outlook,
    Refusal,
    RequestId,
    SimRequest,
    StepResult,
)
from epp.simulator.settings import PodSettings, SimServerSettings
from epp.simulator.simulation import Policy, Simulation, simulate

__all__ = [
    "COSTS",
    "HARDWARE",
    "STEP_COSTS",
    "Counters",
    "Engine",
    "EngineMetrics",
    "EngineSettings",
    "Finish",
    "Finished",
    "FirstToken",
    "Gauges",
    "HardwareProfile",
    "Incident",
    "IncidentKind",
    "LinearCost",
    "MockerCost",
    "Outlook",
    "PickerSight",
    "PodSettings",
    "Policy",
    "PreparedWorkload",
    "Refusal",
    "RequestId",
    "Scenario",
    "SimPod",
    "SimPods",
    "SimRequest",
    "SimServerSettings",
    "SimulatedPod",
    "Simulation",
    "StepCost",
    "StepResult",
    "StepWork",
    "run_sim_server",
    "serve",
    "simulate",
]

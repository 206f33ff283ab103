"""Simulated servers in real time, with and without a picker in front, beside the simulation of the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.compare.contest import Contest, compete
from bench.compare.pickers import PickerSpec, our_command
from bench.compare.processes import pods
from bench.http.player import Target
from bench.http.playing import Plan, Played, play
from bench.http.results import Labels
from bench.validation.pairs import as_on_the_wire, latencies_of, simulated
from bench.validation.results import Pair, Wire, this_machine
from epp.policies import text_of
from epp.simulator.scenario import PickerSight, Scenario, SimulatedPod
from epp.workloads.generators import generated
from epp.workloads.types import Workload

__all__ = ["measure_wire"]

SPEED = 0.5
"""Of the engines. Slow ones, so that Python's share of each answer is small: it is not what is modelled."""

PODS = 4

ALONE = "chat:calls=60,rate_per_s=0.8,think_s=3,turns=4,tenants=6,system_tokens=1500,output_tokens=60"
TOGETHER = "chat:calls=120,rate_per_s=2.4,think_s=3,turns=4,tenants=6,system_tokens=1500,output_tokens=60"
POLICIES = ("round-robin", "default")
SEED = 1

DIRECTLY = PickerSight(scrape_delay_s=0.0, reply_delay_s=0.0, decision_s=0.0, decision_per_mb_s=0.0)
"""Nobody decides: there is one pod."""


async def measure_wire(console: Console) -> Wire:
    """All of it; some four minutes."""
    machine = this_machine()
    alone = await _directly(generated(ALONE, SEED), console)
    together = [await _through_the_picker(generated(TOGETHER, SEED), policy, console) for policy in POLICIES]
    return Wire(
        machine, [alone, *together], f"engines of speed {SPEED:g}; `{ALONE}` for one pod, `{TOGETHER}` for {PODS}"
    )


async def _directly(workload: Workload, console: Console) -> Pair:
    """One pod, asked without anything in between."""
    with TemporaryDirectory(prefix="epp-validation-") as folder:
        async with pods(1, ("--speed", str(SPEED)), Path(folder) / "pods.log") as (address,):
            target = Target(f"http://{address}", "sim-model", run_id="validation")
            played = await play(Plan(workload, Labels("no picker")), target, console)
    scenario = Scenario((SimulatedPod("pod", speed=SPEED),), DIRECTLY)
    return _pair("one pod, no picker", played, workload, scenario, "random")


async def _through_the_picker(workload: Workload, policy: str, console: Console) -> Pair:
    """Several pods behind Envoy and `epp serve`."""
    contest = Contest(workload, SEED, pods=PODS, pod_options=("--speed", str(SPEED)))
    command = our_command(str(Path(sys.executable).with_name("epp")))
    played = await compete(contest, PickerSpec(policy, command, text_of(policy)), console)
    scenario = Scenario(tuple(SimulatedPod(f"pod-{number}", speed=SPEED) for number in range(PODS)))
    return _pair(f"{PODS} pods, {policy}", played, workload, scenario, policy)


def _pair(name: str, played: Played, workload: Workload, scenario: Scenario, policy: str) -> Pair:
    load = os.getloadavg()[0]
    model = simulated(as_on_the_wire(workload), scenario, policy)
    return Pair(name, latencies_of(played.run), model, load, played.effort.late_p99_s)

"""A picker behind a real Envoy, in front of simulated pods, from the start to the report."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.compare.contest import Contest, compete
from bench.compare.costs import cost_table
from bench.compare.pickers import PickerSpec, our_command
from bench.compare.processes import ContestError
from epp.policies import text_of
from epp.workloads.types import Call, Role, Segment, Workload

SYSTEM = Segment(1, 256, Role.SYSTEM)
CALLS = tuple(Call(0.05 * number, (SYSTEM, Segment(10 + number, 64)), Segment(50 + number, 6)) for number in range(12))
SESSION = (*CALLS, Call(0.05, (*CALLS[0].prompt, CALLS[0].output, Segment(99, 32)), Segment(98, 6), after=0, session=1))
CONTEST = Contest(Workload("short", SESSION), pods=2, pod_options=("--speed", "20"))
EPP = str(Path(sys.executable).with_name("epp"))


@pytest.mark.envoy
async def test_placement_and_costs_of_a_picker() -> None:
    spec = PickerSpec("default", our_command(EPP), text_of("default"))
    played = await compete(CONTEST, spec, Console(file=StringIO()))
    run = played.run
    assert run.calls.ok.all(), [record.reply for record in played.records]
    assert len(run.calls) == 13
    assert (run.policy, len(run.pods)) == ("default", 2)
    assert set(run.calls.pod.tolist()) <= {0, 1}
    assert (run.calls.output_tokens == 6).all()
    assert run.calls.cached_tokens[1:].sum() > 0
    assert np.isfinite(run.calls.predicted_ttft_s).all()
    assert run.counters["picker_cpu_s"] > 0
    assert run.counters["picker_cpu_per_call_s"] == pytest.approx(run.counters["picker_cpu_s"] / 13)
    assert run.counters["picker_rss_bytes"] > 10e6
    shown = Console(file=StringIO(), width=120)
    shown.print(cost_table([run]))
    assert "default" in shown.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.envoy
async def test_a_picker_that_does_not_come_up_says_why() -> None:
    spec = PickerSpec("broken", our_command(EPP), "kind: SomethingElse")
    with pytest.raises(ContestError, match=r"broken: ended with status \d(.|\n)*config\.yaml"):
        await compete(CONTEST, spec, Console(file=StringIO()))

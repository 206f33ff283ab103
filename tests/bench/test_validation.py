"""Cost models made of measurements, what is kept of runs, and the tables and the page that show them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.extproc.tables import with_tables
from bench.validation.calibration import Decode, Prefill, cost_of, fit
from bench.validation.pairs import as_bytes, as_on_the_wire, simulated, with_other_texts
from bench.validation.plot import draw
from bench.validation.report import tables
from bench.validation.results import (
    ClosedForm,
    Latencies,
    Machine,
    Pair,
    Results,
    Vllm,
    Wire,
    as_json,
    read_results,
)
from bench.validation.wire import DIRECTLY
from epp.commands.pool_files import parse_pool
from epp.simulator.costs import LinearCost, StepWork
from epp.simulator.scenario import Scenario, SimulatedPod
from epp.workloads import Api, Call, Segment, Workload, body_of, reusable_tokens
from epp.workloads.generators import generated

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"

MACHINE = Machine("today", "a CPU", 2, 0.1, "3.11", "0.1.0")


def measurements(cost: LinearCost) -> list[Prefill | Decode]:
    """What a server of exactly that cost would show."""
    found: list[Prefill | Decode] = []
    for tokens in (16, 100, 400, 1000, 1500):
        steps = -(-tokens // 1024)
        work = StepWork(prefill_tokens=tokens, prefill_attention=tokens**2)
        found.append(Prefill(tokens, steps, cost.arrival_s + cost.seconds(work) + (steps - 1) * cost.step_s))
    for batch in (1, 4, 16):
        for context in (32, 512):
            work = StepWork(decode_seqs=batch, decode_context_tokens=batch * context)
            found.append(Decode(batch, context, cost.seconds(work)))
    return found


@given(
    st.floats(0.001, 0.1),
    st.floats(0, 0.01),
    st.floats(0, 1e-5),
    st.floats(1e-5, 1e-3),
    st.floats(0, 1e-7),
    st.floats(0, 0.1),
)
def test_a_linear_server_is_found_again(
    step: float, seq: float, context: float, token: float, attention: float, arrival: float
) -> None:
    cost = LinearCost(step, seq, context, token, attention, arrival)
    calibration = fit(measurements(cost))
    assert calibration.worst_error < 1e-6
    found = cost_of(calibration)
    unseen = StepWork(700, 700**2, decode_seqs=9, decode_context_tokens=9 * 300)
    assert found.arrival_s + found.seconds(unseen) == pytest.approx(cost.arrival_s + cost.seconds(unseen), rel=1e-5)


def test_noise_makes_no_coefficient_negative() -> None:
    exact = measurements(LinearCost(0.01, 0.002, 0.0, 5e-4, 0.0, 0.0))
    noisy = [replace(one, seconds=one.seconds * (0.9 if place % 2 else 1.1)) for place, one in enumerate(exact)]
    calibration = fit(noisy)
    coefficients = (
        *(calibration.step_s, calibration.decode_seq_s, calibration.decode_context_token_s),
        *(calibration.prefill_token_s, calibration.prefill_attention_s, calibration.arrival_s),
    )
    assert min(coefficients) >= 0
    assert calibration.worst_error < 0.25


def test_answers_are_not_found_again_on_the_wire() -> None:
    question, answer = Segment(1, 160), Segment(2, 160)
    calls = (Call(0.0, (question,), answer), Call(1.0, (question, answer, Segment(3, 16)), Segment(4, 16), after=0))
    workload, scenario = Workload("chat", calls), Scenario((SimulatedPod("pod"),), DIRECTLY)
    assert simulated(workload, scenario, "random").cached_tokens == 304, "the answer's last token is not computed"
    assert simulated(as_on_the_wire(workload), scenario, "random").cached_tokens == 160


def test_prompts_of_bytes_have_a_byte_per_token() -> None:
    workload = as_bytes(generated("tenants:calls=5", 1))
    for call in workload.calls:
        assert call.api is Api.COMPLETIONS
        body = body_of(call, "model", workload.bytes_per_token)
        assert call.prompt_tokens < len(body) < call.prompt_tokens + 200


def test_other_texts_share_what_the_texts_share_and_nothing_with_them() -> None:
    workload = generated("tenants:calls=30,tenants=3", 1)
    other = with_other_texts(workload)
    np.testing.assert_array_equal(reusable_tokens(other), reusable_tokens(workload))
    assert reusable_tokens(other).sum() > 0
    ids = {segment.id for call in workload.calls for segment in call.prompt}
    assert not ids & {segment.id for call in other.calls for segment in call.prompt}


def latencies(factor: float) -> Latencies:
    values = [factor * (1 + number) for number in range(20)]
    return Latencies(values, values, values, 1000, 250, 0)


def everything() -> Results:
    pair = Pair("a run", latencies(0.01), latencies(0.011), load=2.0, late_p99_s=0.004, again=latencies(0.0095))
    calibration = fit(measurements(LinearCost()))
    return Results(
        [ClosedForm("wait", "a formula", "s", 0.1, 0.11, 0.02, 3), ClosedForm("batch", "n", "", 12, 12, 0.0, 1)],
        Wire(MACHINE, [pair], "settings"),
        Vllm(MACHINE, "0.32.0", calibration, [pair], 0.05),
    )


def test_tables_say_how_far_apart_they_are() -> None:
    text = "\n".join(table.markdown() for table in tables(everything()))
    assert "| wait, s | a formula | 0.1 | 0.11 | ±20.00% | +10.00% |" in text
    assert "| batch | n | 12 | 12 | exact | +0.00% |" in text
    assert "| a run: TTFT | 105 / 115 (+10%) |" in text
    assert "| a run | 20 | 0 | 25.0% / 25.0% | 2.0 | 4 | -5%, -5%, -5% |" in text


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "validation.json"
    assert read_results(file) == Results()
    file.write_bytes(as_json(everything()))
    assert read_results(file) == everything()


def test_a_part_alone_is_drawn_too(tmp_path: Path) -> None:
    for name, results in (("all.svg", everything()), ("vllm.svg", replace(everything(), wire=None))):
        draw(results, tmp_path / name)
        assert "</svg>" in (tmp_path / name).read_text()


def test_the_page_has_a_place_for_every_table() -> None:
    page = PAGE.read_text()
    assert with_tables(page, tables(everything())) != page


def test_the_page_shows_what_is_recorded() -> None:
    recorded = read_results(PAGE.parents[1] / "bench" / "results" / "validation.json")
    page = PAGE.read_text()
    assert with_tables(page, tables(recorded)) == page


def test_the_pool_file_of_the_page_can_be_read() -> None:
    (text,) = re.findall(r"^# pool\.yaml\n.*?(?=^```)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    scenario = parse_pool(text.encode(), "pool.yaml")
    assert [pod.hardware for pod in scenario.pods] == ["h100"] * 6 + ["l40s"] * 2
    assert len(scenario.incidents) == 2

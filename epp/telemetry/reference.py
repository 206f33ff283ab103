"""Writes docs/metrics.md from `catalogue`: `python -m epp.telemetry.reference > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from epp.telemetry.catalogue import FAMILIES
from epp.telemetry.families import Family, Kind

__all__ = ["reference"]

_HEAD = """\
# Metrics

This page is made from the code: `python -m epp.telemetry.reference > docs/metrics.md`.

`GET /metrics` on the metrics port (9090) gives Prometheus' text format, or OpenMetrics to who accepts it.

- `llm_d_epp_*` are the Go picker's names with its meaning, so that its dashboards work. Its older names
  (`inference_objective_*`, `inference_pool_*`, ...) are not written a second time.
- `epp_*` are our own. `process_*` and `python_gc_*` come from `prometheus_client`.
- Metrics of the Go picker that are not in the first table are not written. One that may be missed is the duration of
  single plugins: two more looks at the clock for each of them would cost more than some of them do. What all of them
  take together is `epp_decision_phase_duration_seconds` with the phase `schedule`, and a plugin that takes too long is
  counted and logged (`epp_plugin_slow_calls_total`).
- Every metric of a pool carries `inference_pool`; metrics of the process as a whole do not.
- Left out are labels of the Go picker that would have one constant value here: `fairness_id`, `priority`,
  `plugin_name`, `plugin_type`, `producer_name`, `model_rewrite_name`. Its dashboards sum over them.
- `model_name` and `target_model_name` are what the client named and what the model server is asked for. There are at
  most 1,000 pairs, 200 of them with names that neither endpoints list nor rules for models have; all others are counted
  as `other`, and `epp_model_label_overflow_total` says how often. An empty name: the request named none.
- `endpoint` is the address, `endpoint_name` its name (with the address where several endpoints share a name). Series of
  an endpoint end when it leaves the pool.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_lines()))


def _lines() -> Iterator[str]:
    for title, own in (("As in the Go picker", False), ("Our own", True)):
        yield f"## {title}\n"
        yield "| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|"
        yield from (_row(family) for family in FAMILIES if family.name.startswith("epp_") == own)
        yield ""


def _row(family: Family) -> str:
    kind = family.kind.value
    if family.kind is Kind.HISTOGRAM:
        kind += f" ({family.buckets[0]:g} .. {family.buckets[-1]:g}, {len(family.buckets)} bounds)"
    labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
    return f"| `{family.name}` | {kind} | {family.unit} | {labels} | {family.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(reference())

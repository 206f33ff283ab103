"""Judges the client: how late it sent what was due, and whether it could keep up at all. No clock.

Latencies count from the due time, so lateness is in them: a slow client makes servers look slow, but never fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.http.results import CallRecord

__all__ = ["ClientEffort", "effort_of"]

_LATE_S = 0.02
"""At the 99th percentile. A loop's timers have milliseconds, and first tokens come after tens of them."""

_LATE_SHARE = 0.1
"""Of the median time to the first token: below it lateness changes nothing that matters."""

_BUSY_SHARE = 0.9
"""Of a core, which is all that one Python process has."""


@dataclass(frozen=True, slots=True)
class ClientEffort:
    """What sending cost, and how well it went."""

    late_mean_s: float
    late_p99_s: float
    late_max_s: float
    cpu_s: float
    busy_share: float
    """CPU seconds per second of the run."""
    ttft_p50_s: float

    @property
    def warning(self) -> str:
        """What to know before believing the run; empty: nothing."""
        if self.busy_share > _BUSY_SHARE:
            return (
                f"the client used {self.busy_share:.0%} of a core and may be the bottleneck: spread the calls over "
                "several clients, or send fewer per second"
            )
        if self.late_p99_s > _LATE_S and not self.late_p99_s <= _LATE_SHARE * self.ttft_p50_s:
            return (
                f"1 % of the calls were sent {self.late_p99_s * 1e3:.0f} ms late or more, which their latencies "
                "include: the machine is too busy, or the calls come faster than one client can send them"
            )
        return ""

    @property
    def counters(self) -> dict[str, float]:
        """For a run's counters."""
        return {
            "client_late_mean_s": self.late_mean_s,
            "client_late_p99_s": self.late_p99_s,
            "client_cpu_s": self.cpu_s,
        }


def effort_of(records: Sequence[CallRecord], cpu_s: float, wall_s: float) -> ClientEffort:
    """By the calls that were sent. `cpu_s`, `wall_s`: of the client's process while it played."""
    sent = [record for record in records if np.isfinite(record.sent_s)]
    late = np.array([record.sent_s - record.due_s for record in sent] or [0.0])
    first = np.array([record.reply.first_s - record.due_s for record in sent if np.isfinite(record.reply.first_s)])
    return ClientEffort(
        late_mean_s=float(late.mean()),
        late_p99_s=float(np.quantile(late, 0.99)),
        late_max_s=float(late.max()),
        cpu_s=cpu_s,
        busy_share=cpu_s / wall_s if wall_s > 0 else 0.0,
        ttft_p50_s=float(np.median(first)) if first.size else np.nan,
    )

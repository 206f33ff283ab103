"""The endpoint table's columns: each declared once, with its type, unit, initial value and source.

`EndpointTable` adds, clears and grows rows by looping over this declaration, so no column can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _column(*, fill: float | bool, unit: str, source: str) -> Any:
    dtype = np.bool_ if isinstance(fill, bool) else np.float64
    metadata = {"fill": fill, "unit": unit, "source": source, "dtype": dtype}
    return field(default_factory=lambda: np.zeros(0, dtype), metadata=metadata)


@dataclass(slots=True)
class Columns:
    """One array per fact about an endpoint; row i of each belongs to the same endpoint."""

    # What the server said last.
    running_seen: Floats = _column(fill=0.0, unit="requests", source="vllm:num_requests_running")
    waiting_seen: Floats = _column(fill=0.0, unit="requests", source="vllm:num_requests_waiting")
    kv_usage_seen: Floats = _column(fill=0.0, unit="share 0..1", source="vllm:kv_cache_usage_perc")
    capacity_tokens: Floats = _column(
        fill=np.inf, unit="tokens, infinite when unknown", source="vllm:cache_config_info"
    )
    block_size: Floats = _column(fill=0.0, unit="tokens, 0 unknown", source="vllm:cache_config_info block_size")
    max_loras: Floats = _column(fill=0.0, unit="adapters, 0 unknown", source="vllm:lora_requests_info max_lora")
    adapters_in_use: Floats = _column(fill=0.0, unit="adapters", source="slots with requests under way")
    scraped_at: Floats = _column(fill=-np.inf, unit="s, monotonic", source="scraper")
    requests_at_scrape: Floats = _column(fill=0.0, unit="requests", source="ledger, when the scrape was asked for")

    # The same, faded towards the pool's worst while it ages (kept by `freshness`).
    running_base: Floats = _column(fill=0.0, unit="requests", source="running_seen")
    waiting_base: Floats = _column(fill=0.0, unit="requests", source="waiting_seen")
    context_at_scrape: Floats = _column(fill=0.0, unit="tokens", source="context_tokens, when the scrape came")
    requests_base: Floats = _column(fill=0.0, unit="requests", source="requests_at_scrape, followed while it ages")
    kv_usage_base: Floats = _column(fill=0.0, unit="share 0..1", source="kv_usage_seen")

    kv_tokens: Floats = _column(fill=0.0, unit="tokens, 0 unknown", source="kv_usage_base * capacity_tokens")

    # What this picker has placed and not yet seen finish (kept by `ledger`).
    requests: Floats = _column(fill=0.0, unit="requests", source="placements under way")
    prefill_tokens: Floats = _column(fill=0.0, unit="tokens", source="uncached prompt tokens before their first token")
    context_tokens: Floats = _column(fill=0.0, unit="tokens", source="prompt and expected output of requests under way")

    # What others have placed, as far as scrapes show it beyond our own (kept by `freshness`).
    foreign_requests: Floats = _column(fill=0.0, unit="requests", source="running + waiting - requests_at_scrape")

    foreign_waiting: Floats = _column(fill=0.0, unit="requests", source="the part of waiting_base that is foreign")

    # Learned (kept by `rates`).
    prefill_rate: Floats = _column(fill=0.0, unit="tokens/s, 0 unknown", source="work over time to first token")
    relative_slowness: Floats = _column(fill=1.0, unit="ratio", source="the pool's median prefill_rate over its own")
    token_interval: Floats = _column(fill=0.0, unit="s, 0 unknown", source="time per output token")
    cache_trust: Floats = _column(fill=1.0, unit="share 0..1", source="observed over predicted cached tokens")

    # Whether it should be used (kept by `health`).
    added_at: Floats = _column(fill=-np.inf, unit="s, monotonic", source="discovery, or last recovery")
    mature: Flags = _column(fill=False, unit="", source="older than the slow-start window")
    request_limit: Floats = _column(
        fill=np.inf, unit="requests", source="slow start, half-open probe, moment of busyness"
    )
    reachable: Flags = _column(fill=False, unit="", source="health probes, ejection and sleep")
    usable: Flags = _column(fill=False, unit="", source="reachable, and scrapes do not fail")
    live: Flags = _column(fill=False, unit="", source="the row is in use")

    def grow(self, size: int) -> None:
        """Makes room for `size` rows, new ones filled."""
        for declared in fields(self):
            old = cast(NDArray[Any], getattr(self, declared.name))
            new = np.full(size, declared.metadata["fill"], declared.metadata["dtype"])
            new[: len(old)] = old
            setattr(self, declared.name, new)

    def clear(self, row: int) -> None:
        """Gives a row the values of an endpoint of which nothing is known."""
        for declared in fields(self):
            getattr(self, declared.name)[row] = declared.metadata["fill"]

"""What a plugin sees of the endpoints: dense arrays over the candidates that are left.

Every property is an array (n,) over the same candidates in the same order, taken from the table's columns when it is
first asked for. Arrays may be shared with the table: plugins must not write into them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointPool
from epp.scheduling.features import Features
from epp.scheduling.trace import Kind, Trace

__all__ = ["View"]

Values = NDArray[np.float64]


class View:
    """Candidates of one decision, with what is known of them and of the request's size."""

    __slots__ = (
        "_cache",
        "_index",
        "any_matched",
        "blocks_by_row",
        "features",
        "late_reuse",
        "now",
        "pool",
        "rng",
        "rows",
        "trace",
    )

    def __init__(
        self,
        pool: EndpointPool,
        rows: NDArray[np.int64],
        features: Features,
        blocks_by_row: NDArray[np.int64],
        *,
        any_matched: bool,
        late_reuse: float = 0.0,
        now: float,
        rng: np.random.Generator,
        trace: Trace,
    ) -> None:
        self.pool = pool
        self.rows = rows
        """Table rows of the candidates, ascending."""
        self.features = features
        self.now = now
        """Monotonic seconds."""
        self.rng = rng
        self.trace = trace
        self.blocks_by_row = blocks_by_row
        """Leading prefix blocks that the index knows, by table row."""
        self.any_matched = any_matched
        """Some endpoint of the pool holds the first block."""
        self.late_reuse = late_reuse
        """How much of what a new prefix pushes out of a cache will be asked for, 0 to 1: `PrefixIndex.late_reuse`."""
        all_rows = len(rows) > 0 and len(rows) == pool.table.size
        self._index: slice | NDArray[np.int64] = slice(0, len(rows)) if all_rows else rows
        self._cache: dict[str, Values] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def narrowed(self, keep: NDArray[np.bool_]) -> View:
        """The view of the candidates that a filter keeps."""
        return View(
            self.pool,
            self.rows[keep],
            self.features,
            self.blocks_by_row,
            any_matched=self.any_matched,
            late_reuse=self.late_reuse,
            now=self.now,
            rng=self.rng,
            trace=self.trace,
        )

    def note(self, name: str, values: Values) -> None:
        """Adds a term to the explanation. The array must not be changed afterwards."""
        self.trace.step(Kind.TERM, name, self.rows, values)

    # The request against each candidate.

    @property
    def matched_blocks(self) -> NDArray[np.int64]:
        """Leading prefix blocks that the index knows on each candidate."""
        return self.blocks_by_row[self._index]

    @property
    def matched_tokens(self) -> Values:
        """Prompt tokens that each candidate is believed to hold: what the index knows, as far as it proved right."""
        matched = self._cache.get("matched_tokens")
        if matched is None:
            if self.any_matched:
                tokens = self.matched_blocks * (self._column("cache_trust") * self.features.tokens_per_block)
                matched = np.minimum(tokens, self.features.prompt_tokens)
            else:
                matched = np.zeros(len(self))
            self._cache["matched_tokens"] = matched
        return matched

    @property
    def uncached_tokens(self) -> Values:
        """Prompt tokens that each candidate would have to compute."""
        return self.features.prompt_tokens - self.matched_tokens

    # What servers say, faded when old, corrected by what was placed or seen to finish since.

    @property
    def running(self) -> Values:
        """Requests that each server works on."""
        return np.maximum(0.0, self._column("running_base") + self._since_scrape)

    @property
    def waiting(self) -> Values:
        """Requests in each server's queue. What was placed since the scrape joins a queue where there is one."""
        waiting = self._column("waiting_base")
        return np.where(waiting > 0, np.maximum(0.0, waiting + self._since_scrape), 0.0)

    @property
    def expected_waiting(self) -> Values:
        """The same for comparing endpoints: what was placed since the scrape counts everywhere. Where a scrape is a
        second old and nobody queued, all would go to one endpoint otherwise.
        """
        return np.maximum(0.0, self._column("waiting_base") + self._since_scrape)

    @property
    def kv_usage(self) -> Values:
        """Share of the KV cache that requests use, 0 to 1."""
        return self._column("kv_usage_base")

    @property
    def expected_kv_usage(self) -> Values:
        """The same for comparing endpoints: with what was placed since the scrape, where the capacity is known."""
        placed = np.maximum(0.0, self._column("context_tokens") - self._column("context_at_scrape"))
        return np.minimum(1.0, self.kv_usage + placed / self.capacity_tokens)

    @property
    def capacity_tokens(self) -> Values:
        """Tokens that the KV cache holds; infinite where it is not known."""
        return self._column("capacity_tokens")

    @property
    def kv_tokens(self) -> Values:
        """Tokens in the KV cache that requests use, by the server's last word; 0 where it is not known."""
        return self._column("kv_tokens")

    # Our own work in flight, and others'.

    @property
    def requests(self) -> Values:
        """Requests placed by this picker and not finished."""
        return self._column("requests")

    @property
    def outstanding(self) -> Values:
        """Requests under way, ours and others'."""
        outstanding = self._cache.get("outstanding")
        if outstanding is None:
            outstanding = self._cache["outstanding"] = self._column("requests") + self._column("foreign_requests")
        return outstanding

    @property
    def prefill_tokens(self) -> Values:
        """Uncached prompt tokens placed by this picker that have not been computed yet."""
        return self._column("prefill_tokens")

    @property
    def backlog_tokens(self) -> Values:
        """Prefill work in front of a new request: ours exactly, what waits of others at our requests' mean size."""
        return self.prefill_tokens + self._column("foreign_waiting") * self.pool.estimates.mean_prompt_tokens

    @property
    def context_tokens(self) -> Values:
        """Prompt and expected output tokens of our requests under way."""
        return self._column("context_tokens")

    # What was learned.

    @property
    def prefill_rate(self) -> Values:
        """Tokens per second; 0 where it is not known."""
        return self._column("prefill_rate")

    @property
    def slowness(self) -> Values:
        """The pool's median prefill rate over each candidate's own, 0.25 to 4; 1 where it is not known."""
        return self._column("relative_slowness")

    @property
    def token_interval(self) -> Values:
        """Seconds per output token; 0 where it is not known."""
        return self._column("token_interval")

    # Who they are.

    @property
    def addresses(self) -> list[str]:
        """Canonical `ip:port` of each candidate."""
        return [self.pool.table.addresses[row] for row in self.rows]

    @property
    def address_hashes(self) -> NDArray[np.uint64]:
        """A number for each candidate's address, the same in every process."""
        return self.pool.table.address_hashes[self._index]

    def labels(self, key: str) -> list[str | None]:
        """Value of a label of each candidate; None where it has none."""
        return [self.pool.table.spec(int(row)).labels.get(key) for row in self.rows]

    def adapter_states(self, adapter: str) -> NDArray[np.int64]:
        """`epp.endpoints.AdapterState` of an adapter on each candidate."""
        return self.pool.adapters.states(adapter, self.rows)

    @property
    def _since_scrape(self) -> Values:
        return self._column("requests") - self._column("requests_base")

    def take(self, by_row: NDArray[np.float64]) -> Values:
        """The candidates' part of an array by table row, which the caller keeps."""
        return by_row[self._index]

    def _column(self, name: str) -> Values:
        values = self._cache.get(name)
        if values is None:
            values = self._cache[name] = getattr(self.pool.table.columns, name)[self._index]
        return values

    def __repr__(self) -> str:
        return f"<View of {len(self)} of {len(self.pool.table)} endpoints>"

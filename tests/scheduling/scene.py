"""Endpoints with chosen numbers, and views of them, for tests of what decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings, Row
from epp.exchange import Headers
from epp.prefix import PrefixChain
from epp.requests import Dialect, InferenceRequest, Operation
from epp.scheduling import Features, Trace, View


class NoCaches:
    """Nobody keeps account of caches."""

    def cache_lost(self, row: Row) -> None: ...

    def cache_size_seen(self, row: Row, tokens: float | None) -> None: ...


def pool_of(count: int, **columns: Sequence[float]) -> EndpointPool:
    """`count` usable endpoints 10.0.0.1:8000, ...; keywords set columns of the table."""
    pool = EndpointPool(PoolSettings(), NoCaches())
    pool.replace([EndpointSpec(f"10.0.{n // 250}.{n % 250 + 1}:8000", labels={"n": str(n)}) for n in range(count)], 0.0)
    for name, values in columns.items():
        getattr(pool.table.columns, name)[:count] = values
    known = pool.table.columns
    known.kv_tokens[:count] = known.kv_usage_base[:count] * np.where(
        np.isfinite(known.capacity_tokens[:count]), known.capacity_tokens[:count], 0
    )
    pool.rates.refresh(force=True)
    return pool


def view_of(
    pool: EndpointPool,
    *,
    matched_blocks: Sequence[int] | None = None,
    chain: bytes = b"",
    prompt_tokens: float = 0.0,
    tokens_per_block: float = 64.0,
    output_tokens: float = 0.0,
    late_reuse: float = 0.0,
    seed: int = 1,
) -> View:
    """A view of all endpoints of a pool."""
    size = pool.table.size
    blocks = np.zeros(size, np.int64) if matched_blocks is None else np.array(matched_blocks, np.int64)
    return View(
        pool,
        pool.table.live_rows,
        Features(PrefixChain(chain), prompt_tokens, tokens_per_block, output_tokens),
        blocks,
        any_matched=bool(blocks.any()),
        late_reuse=late_reuse,
        now=0.0,
        rng=np.random.default_rng(seed),
        trace=Trace(pool.table.addresses, pool.table.live_rows, prompt_tokens, output_tokens),
    )


def request(adapter: str = "", headers: dict[str, str] | None = None) -> InferenceRequest:
    """A chat request; its prompt matters only through the view's features."""
    return InferenceRequest(
        Operation.CHAT,
        Dialect.OPENAI,
        Headers.of(headers or {}),
        size_bytes=100,
        model=adapter or "base",
        target_model=adapter or "base",
        adapter=adapter,
    )

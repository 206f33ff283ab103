"""What every plugin of a kind keeps to, and pools, views and requests to try them with.

A profile never asks a plugin about no candidates at all: it ends before. So n = 0 is not part of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings
from epp.exchange import Headers
from epp.prefix import PrefixChain
from epp.requests import Dialect, InferenceRequest, Media, Operation
from epp.scheduling import Cost, Features, Filter, Picker, Placement, Scorer, Trace, View
from tests.scheduling.scene import NoCaches

__all__ = [
    "chat",
    "check_cost",
    "check_filter",
    "check_picker",
    "check_scorer",
    "costs",
    "kept",
    "opaque",
    "place",
    "placement",
    "pool_with",
    "scored",
    "spec",
    "view",
]

SIZES = (1, 2, 7, 2000)

ABSURD = 1e300
"""Of requests or tokens: what a broken or hostile metrics page may say."""


def spec(number: int, labels: Mapping[str, str] | None = None, name: str = "") -> EndpointSpec:
    """Endpoint 10.0.0.1:8000, 10.0.0.2:8000, ..."""
    return EndpointSpec(f"10.0.{number // 250}.{number % 250 + 1}:8000", name=name, labels=labels or {})


def pool_with(specs: int | Sequence[EndpointSpec], **columns: Sequence[float]) -> EndpointPool:
    """A pool of endpoints; keywords set columns of the table."""
    pool = EndpointPool(PoolSettings(), NoCaches())
    pool.replace([spec(number) for number in range(specs)] if isinstance(specs, int) else specs, 0.0)
    for name, values in columns.items():
        getattr(pool.table.columns, name)[: pool.table.size] = values
    return pool


def view(
    pool: EndpointPool,
    *,
    rows: Sequence[int] | None = None,
    blocks: Sequence[int] | None = None,
    prompt_tokens: float = 0.0,
    tokens_per_block: float = 64.0,
    now: float = 0.0,
    seed: int = 1,
) -> View:
    """A view of some candidates, all when `rows` is None. `blocks`: matched, by table row."""
    size = pool.table.size
    chosen = pool.table.live_rows if rows is None else np.array(rows, np.int64)
    return View(
        pool,
        chosen,
        Features(PrefixChain(b"12345678" if prompt_tokens else b""), prompt_tokens, tokens_per_block),
        np.zeros(size, np.int64) if blocks is None else np.array(blocks, np.int64),
        any_matched=blocks is not None and any(blocks),
        now=now,
        rng=np.random.default_rng(seed),
        trace=Trace(pool.table.addresses, rows=chosen),
    )


def chat(
    headers: Mapping[str, str] | None = None,
    *,
    adapter: str = "",
    prompt_bytes: int = 0,
    media: Sequence[bytes] = (),
) -> InferenceRequest:
    """A chat request."""
    return InferenceRequest(
        Operation.CHAT,
        Dialect.OPENAI,
        Headers.of(headers or {}),
        size_bytes=100 + prompt_bytes,
        model="m",
        target_model=adapter or "m",
        adapter=adapter,
        prompt_bytes=prompt_bytes,
        media=tuple(Media("image", digest, 10) for digest in media),
    )


def opaque() -> InferenceRequest:
    """A request of which nothing is known, not even a header."""
    return InferenceRequest(Operation.OPAQUE, Dialect.OPENAI, Headers(), size_bytes=0)


def placement(pool: EndpointPool, row: int, profile: str = "default") -> Placement:
    """What the scheduler says about a pick."""
    ref = pool.table.ref(row)  # type: ignore[arg-type]
    return Placement(profile, ref, pool.table.addresses[row], 0.0, 0.0, 0.0)


def place(plugin: object, request: InferenceRequest, pool: EndpointPool, row: int, now: float = 0.0) -> object:
    """Tells a plugin of a placement, as the router does. Returns the reply headers that it wants."""
    return plugin.placed(request, placement(pool, row), now)  # type: ignore[attr-defined]


def scored(plugin: Scorer, request: InferenceRequest, look: View) -> list[float]:
    """Scores as a list."""
    return [float(score) for score in plugin.score(request, look)]


def costs(plugin: Cost, request: InferenceRequest, look: View) -> list[float]:
    """Costs as a list."""
    return [float(cost) for cost in plugin.cost(request, look)]


def kept(plugin: Filter, request: InferenceRequest, look: View) -> list[int]:
    """Positions of the candidates that a filter keeps."""
    return np.flatnonzero(plugin.keep(request, look)).tolist()


def check_scorer(make: Callable[[], Scorer]) -> None:
    """A scorer gives a float in [0, 1] for each candidate, whatever the request and the endpoints are like."""
    scorer = make()
    for request, look in _situations():
        scores = scorer.score(request, look)
        assert scores.shape == (len(look),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        assert scores.min() >= 0
        assert scores.max() <= 1
        _place_first(scorer, request, look)


def check_filter(make: Callable[[], Filter]) -> None:
    """A filter gives a bool for each candidate, whatever the request and the endpoints are like."""
    plugin = make()
    for request, look in _situations():
        keep = plugin.keep(request, look)
        assert keep.shape == (len(look),)
        assert keep.dtype == np.bool_
        _place_first(plugin, request, look)


def check_cost(make: Callable[[], Cost]) -> None:
    """A cost gives a number for each candidate, finite unless metrics are absurd."""
    plugin = make()
    for request, look in _situations():
        cost = plugin.cost(request, look)
        assert cost.shape == (len(look),)
        assert cost.dtype == np.float64
        assert not np.isnan(cost).any()
        assert np.isfinite(cost).all() or look.outstanding.max() >= ABSURD
        _place_first(plugin, request, look)


def check_picker(make: Callable[[], Picker]) -> None:
    """A picker gives distinct candidates, whatever the values are like."""
    plugin = make()
    for request, look in _situations():
        for values in (np.zeros(len(look)), -look.outstanding, look.expected_kv_usage):
            order = plugin.pick(values, look)
            assert order.dtype == np.int64
            assert 0 < len(order) == len(set(order.tolist()))
            assert 0 <= order.min() <= order.max() < len(look)
        _place_first(plugin, request, look)


def _place_first(plugin: object, request: InferenceRequest, look: View) -> None:
    if hasattr(plugin, "placed"):
        headers = plugin.placed(request, placement(look.pool, int(look.rows[0])), look.now)
        assert headers is None or all(isinstance(text, str) for pair in headers.items() for text in pair)


@cache
def _situations() -> list[tuple[InferenceRequest, View]]:
    """Requests and views; the table's columns are frozen, so that a plugin that writes into them fails."""
    requests = (
        opaque(),
        chat(),
        chat({"x-session-token": "???", "x-session-id": "s", "test-epp-endpoint-selection": "x"}, prompt_bytes=6400),
        chat(adapter="a", prompt_bytes=10**9, media=[b"12345678", b"abcdefgh", b"12345678"]),
    )
    views = [
        view(pool, rows=rows, blocks=blocks, prompt_tokens=tokens, now=float(size))
        for size in SIZES
        for pool, blocks in _pools(size)
        for rows in (None, range(0, size, 2))
        for tokens in (0.0, 1600.0)
    ]
    for look in views:
        for column in fields(look.pool.table.columns):
            getattr(look.pool.table.columns, column.name).flags.writeable = False
        look.blocks_by_row.flags.writeable = False
    return [(request, look) for look in views for request in requests]


def _pools(size: int) -> list[tuple[EndpointPool, NDArray[np.int64]]]:
    rng = np.random.default_rng(size)
    names = ("running_base", "waiting_base", "requests", "foreign_requests", "prefill_tokens", "context_tokens")
    labels = ({}, {"llm-d.ai/role": "decode", "llm-d.ai/context-length-range": "0-2048"}, {"n": "1", "": ""})
    specs = [spec(number, labels[number % len(labels)], name=f"pod-{number % 1000}") for number in range(size)]
    idle = pool_with(specs)
    even = pool_with(specs, **{name: np.full(size, 3.0) for name in names}, kv_usage_base=np.full(size, 1.0))
    busy = pool_with(
        specs,
        **{name: rng.integers(0, 1000, size).astype(float) for name in names},
        kv_usage_base=rng.random(size),
        prefill_rate=rng.integers(0, 2, size) * 10_000.0,
        cache_trust=rng.random(size),
    )
    huge = pool_with(specs, **{name: rng.choice([0.0, ABSURD], size) for name in names}, kv_usage_base=np.ones(size))
    none, some = np.zeros(size, np.int64), rng.integers(0, 30, size)
    return [(idle, none), (even, none + 7), (busy, some), (huge, some)]

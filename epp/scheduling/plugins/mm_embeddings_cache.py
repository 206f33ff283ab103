"""`mm-embeddings-cache-scorer`: endpoints that have encoded the request's images, audio or video before."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from epp.endpoints import EndpointTable
from epp.prefix import PrefixChain, PrefixIndex
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than, named
from epp.scheduling.types import Placement, Values
from epp.scheduling.view import View

__all__ = ["MmEmbeddingsCacheScorer"]

_ITEM_MIB = 2
"""Assumed size of one item in a server's cache. Source: llm-d-router `dataproducer/multimodal`."""

_LIMIT_BYTES = 16 * 1024 * 1024
"""Of the record of all endpoints together: about 24,000 items that one endpoint each holds."""

_MAX_ITEMS = 32
"""Of one request that count; beyond it the first ones decide. A request must not push out everything else, and when
each of 2,000 endpoints holds each item it takes 12 ms."""


@dataclass(slots=True)
class MmEmbeddingsCacheScorer:
    """Items that the endpoint was given before / items of the request; 0 without any. Source: `mmcacheaffinity`.

    Each item counts once, whatever its size: of that a body shows the length of a URL. The record is a prefix index
    whose chains are single items: per endpoint least recently used first, and bounded in bytes for all together,
    where the Go picker's grows with the pool.
    """

    cache_size_in_mb_per_server: int = field(default=4096, metadata=named("cacheSizeInMBPerServer"))
    """MiB of each server's encoder cache; 2 MiB are taken for an item. In the Go picker it is a parameter of
    `mm-embeddings-cache-producer`."""
    _record: PrefixIndex = field(init=False, repr=False)
    _table: EndpointTable | None = field(init=False, repr=False)
    _addresses: tuple[str, ...] = field(init=False, repr=False)
    """Whose the record's rows are."""

    def __post_init__(self) -> None:
        more_than("cacheSizeInMBPerServer", self.cache_size_in_mb_per_server, 0)
        self._record = PrefixIndex(_LIMIT_BYTES)
        self._table, self._addresses = None, ()

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1]."""
        items = _items(request)
        if not items:
            return np.zeros(len(view))
        self._follow(view.pool.table)
        held = np.zeros(view.pool.table.size, np.int64)
        for item in items:
            matched = self._record.match(item, len(held))
            if matched is not None:
                held += matched
        return held[view.rows] / len(items)

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> None:  # noqa: ARG002
        """The endpoint will have encoded the request's items."""
        row = placement.ref.row
        if row >= len(self._addresses) or self._addresses[row] != placement.address:
            return
        self._record.set_capacity(row, max(1, self.cache_size_in_mb_per_server // _ITEM_MIB))
        for item in _items(request):
            self._record.insert(item, row)

    def _follow(self, table: EndpointTable) -> None:
        """Forgets rows that belong to others now, or to nobody."""
        if self._table is table and self._addresses is table.addresses:
            return
        now = table.addresses if self._table is table else ()
        for row, address in enumerate(self._addresses):
            if row >= len(now) or now[row] != address:
                self._record.forget(row)
        self._table, self._addresses = table, table.addresses


def _items(request: InferenceRequest) -> list[PrefixChain]:
    """The request's media, each once, by digest."""
    return [PrefixChain(digest) for digest in {item.digest: None for item in islice(request.media, _MAX_ITEMS)}]

"""Two plugins of one's own: a scorer and a filter with a hook. A configuration names them by import path:

    plugins:
      - {type: "mypkg.routing:SpareMemory", name: memory, parameters: {reserveTokens: 4096}}
      - {type: "mypkg.routing:OnePerClient", name: fair}
    schedulingProfiles:
      - name: default
        plugins: [{pluginRef: fair}, {pluginRef: memory, weight: 2}]

A plugin sees arrays over the candidates and returns an array over them; `view` tells time and randomness too. What it
raises is reported, and the request is placed as if the plugin were not there.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from epp.requests import InferenceRequest
from epp.scheduling import Placement, View


@dataclass(slots=True)
class SpareMemory:
    """Prefers endpoints whose KV cache has room for the request and a reserve; 0.5 where its size is not known."""

    reserve_tokens: int = 2048

    def score(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        """1 with room, less the more is missing."""
        needed = view.uncached_tokens + view.features.output_tokens + self.reserve_tokens
        spare = view.capacity_tokens - view.kv_tokens
        return np.where(np.isfinite(spare), np.clip(spare / needed, 0.0, 1.0), 0.5)


@dataclass(slots=True)
class OnePerClient:
    """Keeps a client's next request away from where its last one went, for a while, if others are left."""

    header: str = "x-client"
    seconds: float = 10.0
    max_clients: int = 10_000
    _last: OrderedDict[str, tuple[str, float]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError(f"seconds is {self.seconds}; it must be more than 0")
        self._last = OrderedDict()

    def keep(self, request: InferenceRequest, view: View) -> NDArray[np.bool_]:
        """All but the last endpoint."""
        address, since = self._last.get(request.headers.get(self.header) or "", ("", 0.0))
        if not address or view.now - since > self.seconds or len(view) == 1:
            return np.ones(len(view), np.bool_)
        return np.array([candidate != address for candidate in view.addresses])

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> dict[str, str] | None:
        """Called right after each decision; what it returns is set on the reply."""
        if not (client := request.headers.get(self.header)):
            return None
        self._last[client] = placement.address, now
        self._last.move_to_end(client)
        if len(self._last) > self.max_clients:
            self._last.popitem(last=False)
        return {"x-placed-for": client}

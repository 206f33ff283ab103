"""`lmetric-cost`: new prefill tokens times batch size, with the paper's guard against hot spots.

A hot spot: prompts of one class (equal in their first blocks) come so often that those who hold the class get more than
their share of all requests, and yet stay the cheapest, because a cached prompt makes the product small at any batch
size. The guard keeps a window of the classes of recent requests for this.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from epp.prefix.hashing import HASH_BYTES
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than
from epp.scheduling.types import Mask, Placement, Values
from epp.scheduling.view import View

__all__ = ["LMetricCost"]


class _Asked(NamedTuple):
    """The request whose cost was asked for last, until it is placed."""

    request: InferenceRequest
    prompt_class: bytes
    streak: int
    """Requests of the class in a row, this one included, that a hot spot would have got."""


@dataclass(slots=True)
class LMetricCost:
    """max(1, prefill in front + prompt - matched) * (requests + 1): no weight, because a factor would cancel out.

    Guard: of the last requests a share x was of this one's class; M candidates hold the class, N do not. While
    x / (1 - x) > M / N and the cheapest is one of the M, the M cost more than all others from the 2M-th such request
    in a row on.

    Source: LMetric, arXiv 2603.15202, whose new prefill tokens contain what is queued. The guard's window counts
    requests instead of time, and the class is what both ports of it take, 64 tokens (Dynamo `lmetric`).
    """

    hotspot_detection: bool = True
    """Whether the guard is on."""
    class_prefix_blocks: int = 1
    """Blocks of 256 bytes at the beginning of a prompt that make its class."""
    window_requests: int = 1000
    """Requests over which shares are counted."""
    _window: deque[bytes] = field(init=False, repr=False)
    """Classes of the last requests, oldest first."""
    _arrivals: Counter[bytes] = field(init=False, repr=False)
    """How often each is in the window; none that is not."""
    _streaks: dict[bytes, int] = field(init=False, repr=False)
    """Of the classes in the window, those that have a streak."""
    _asked: _Asked | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        more_than("classPrefixBlocks", self.class_prefix_blocks, 0)
        more_than("windowRequests", self.window_requests, 0)
        self._window, self._arrivals, self._streaks = deque(), Counter(), {}
        self._asked = None

    def cost(self, request: InferenceRequest, view: View) -> Values:
        """Tokens times requests."""
        tokens = np.maximum(1.0, view.backlog_tokens + view.uncached_tokens)
        with np.errstate(over="ignore"):  # absurd metrics cost as much as can be
            product = tokens * (view.outstanding + 1.0)
        chain, end = view.features.chain, self.class_prefix_blocks * HASH_BYTES
        if not self.hotspot_detection or len(chain) < end:
            self._asked = None
            return product
        prompt_class = chain[end - HASH_BYTES : end]
        holders = self._hot(prompt_class, product, view)
        streak = 0 if holders is None else self._streaks.get(prompt_class, 0) + 1
        self._asked = _Asked(request, prompt_class, streak)
        if holders is None or streak < 2 * np.count_nonzero(holders):
            return product
        return np.where(holders, product + product.max(), product)

    def placed(self, request: InferenceRequest, placement: Placement, now: float) -> None:  # noqa: ARG002
        """The request counts in its class; asking what it would cost does not."""
        asked, self._asked = self._asked, None
        if asked is None or asked.request is not request:
            return
        if len(self._window) == self.window_requests:
            self._forget(self._window.popleft())
        self._window.append(asked.prompt_class)
        self._arrivals[asked.prompt_class] += 1
        self._streaks.pop(asked.prompt_class, None)
        if asked.streak:
            self._streaks[asked.prompt_class] = asked.streak

    def _hot(self, prompt_class: bytes, product: Values, view: View) -> Mask | None:
        """Who holds the class, if it is a hot spot and the cheapest is one of them."""
        if not view.any_matched:
            return None
        holders: Mask = view.matched_blocks >= self.class_prefix_blocks
        count = int(np.count_nonzero(holders))
        if not self._alarmed(prompt_class, count, len(view) - count) or not holders[product.argmin()]:
            return None
        return holders

    def _alarmed(self, prompt_class: bytes, holders: int, others: int) -> bool:
        """Whether the class, with this request, is more than its holders' share."""
        if not holders or not others:
            return False
        full = len(self._window) == self.window_requests
        size = len(self._window) + (not full)
        arrivals = self._arrivals[prompt_class] + 1 - (full and self._window[0] == prompt_class)
        return arrivals * others > (size - arrivals) * holders

    def _forget(self, prompt_class: bytes) -> None:
        self._arrivals[prompt_class] -= 1
        if not self._arrivals[prompt_class]:
            del self._arrivals[prompt_class]
            self._streaks.pop(prompt_class, None)

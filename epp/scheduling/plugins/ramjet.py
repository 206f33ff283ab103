"""`ramjet-cost`: load minus a capped prefix affinity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from epp.prefix import BLOCK_BYTES
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, more_than, one_of
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["AffinityBasis", "RamjetCost"]

AffinityBasis = Literal["absolute", "relative"]

_DEEPER = 1e-9
"""Of equal costs the deeper match is less, as in Ramjet. Too little to matter otherwise: a token of load counts
alpha / 8192."""


@dataclass(slots=True)
class RamjetCost:
    """alpha * load - affinity, in affinity blocks. Source: Helix's Ramjet, `src/router.rs`.

    affinity, absolute: min(overlap, cap); relative: min(best, cap) - min(best - overlap, cap), so that differences
    beyond the cap are seen. Overlap counts in whole affinity blocks. load: 1 for each request under way,
    and more until its first token, by the prefill that it needs: up to `maxLoadUnits` in all.

    Differs from Ramjet: the ledger knows prefill in front by endpoint, not by request. So load is requests +
    min(prefill in front / loadUnitTokens, (maxLoadUnits - 1) * requests), where Ramjet adds up
    clamp(ceil(bytes / 32 KB), 1, 8). Ties are the picker's, where Ramjet takes turns.
    """

    alpha: float = 4.0
    """Affinity blocks that a unit of load is worth."""
    affinity_block_bytes: int = 2048
    """Length of an affinity block, about 512 tokens."""
    max_affinity_blocks: int = 32
    """Cap: what is held (absolute), or lacking of the best match (relative), counts no more beyond it."""
    load_unit_tokens: int = 8192
    """Prefill that makes a unit of load: 32 KB at 4 bytes per token."""
    max_load_units: int = 8
    """Most that one request counts for."""
    basis: AffinityBasis = "absolute"
    """`absolute` is Ramjet's default; `relative` is what its published comparison with Dynamo used."""

    def __post_init__(self) -> None:
        at_least("alpha", self.alpha, 0)
        more_than("affinityBlockBytes", self.affinity_block_bytes, 0)
        more_than("maxAffinityBlocks", self.max_affinity_blocks, 0)
        more_than("loadUnitTokens", self.load_unit_tokens, 0)
        at_least("maxLoadUnits", self.max_load_units, 1)
        one_of("basis", self.basis, get_args(AffinityBasis))

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Affinity blocks, not tokens; below zero where the cache is worth more than the load."""
        requests = view.outstanding
        prefill = np.minimum(view.backlog_tokens / self.load_unit_tokens, (self.max_load_units - 1) * requests)
        load = (requests + prefill) * self.alpha
        view.note("load", load)
        if not view.any_matched:
            return load
        overlap: Values = np.floor(view.matched_blocks / (self.affinity_block_bytes / BLOCK_BYTES))
        affinity = self._affinity(overlap)
        view.note("affinity", -affinity)
        return load - affinity - overlap * _DEEPER

    def _affinity(self, overlap: Values) -> Values:
        """Affinity blocks, 0 to the cap. `overlap`: blocks that are held."""
        if self.basis == "absolute":
            return np.minimum(overlap, self.max_affinity_blocks)
        best = float(overlap[overlap.argmax()])
        missing = np.minimum(best - overlap, self.max_affinity_blocks)
        return min(best, self.max_affinity_blocks) - missing

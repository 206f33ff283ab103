"""`bounded-load-hash-cost`: consistent hashing of the prompt's beginning, with bounded load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.mixing import mixed
from epp.prefix.hashing import HASH_BYTES
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, more_than
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["BoundedLoadHashCost"]

_STEP = 2.0**-64


@dataclass(slots=True)
class BoundedLoadHashCost:
    """Place in the hash's order, 0 to 1; 1 more for who has more than loadFactor times its share of the requests.

    The order is that of rendezvous hashing of the prompt's first blocks with each address: prompts that begin alike
    go to one endpoint, replicas agree without talking, and an endpoint that leaves moves its own prompts only. The
    first in order within the bound wins; when nobody is, the first. Bound: loadFactor * (requests of all + 1) / n.
    Prompts without a full block go where the fewest requests are. Needs no index.

    Source: Mirrokni et al., "Consistent Hashing with Bounded Loads" (SODA 2018), with the defaults of SGLang's
    `prefix_hash`; as in Dynamo's `chwbl`, rendezvous hashing stands in for the ring.
    """

    prefix_blocks: int = 4
    """Blocks of 256 bytes that make the key, all of a shorter prompt: 256 tokens at 4 bytes each."""
    load_factor: float = 1.25
    """How much above the mean an endpoint may be."""

    def __post_init__(self) -> None:
        more_than("prefixBlocks", self.prefix_blocks, 0)
        at_least("loadFactor", self.load_factor, 1)

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """0 to 2; requests where there is nothing to hash."""
        requests, chain = view.outstanding, view.features.chain
        if not chain:
            return requests
        end = min(self.prefix_blocks * HASH_BYTES, len(chain))
        key = np.uint64(int.from_bytes(chain[end - HASH_BYTES : end], "little"))
        share: Values = np.multiply(mixed(view.address_hashes ^ key), _STEP)
        bound = self.load_factor * (requests.sum() + 1.0) / len(view)
        return np.where(requests > bound, 2.0 - share, 1.0 - share)

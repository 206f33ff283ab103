"""What endpoints hold in their prefix caches, as far as placements tell.

A prompt is cut into blocks of 256 raw bytes; each block's hash names the whole prefix that it ends (`hashing`). The
index (`index`) remembers which endpoint was given which chain of blocks, within a byte budget and within the capacity
that each endpoint's server reports. It knows blocks and rows, no tokens, no requests and no policy.
"""

from epp.prefix.hashing import BLOCK_BYTES, PrefixChain, chain_of, seed_of
from epp.prefix.index import Insertion, PrefixIndex

__all__ = ["BLOCK_BYTES", "Insertion", "PrefixChain", "PrefixIndex", "chain_of", "seed_of"]

"""`dynamo-cost`: the linear cost of NVIDIA Dynamo's KV router."""

from __future__ import annotations

from dataclasses import dataclass

from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import at_least, more_than
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["DynamoCost"]


@dataclass(slots=True)
class DynamoCost:
    """scale * (prefill in front + prompt - credit * matched) + context + prompt + weight * block * requests.

    credit = overlapScoreCredit / (1 + decay * (prefill in front beyond the least loaded) / prompt). Source: Dynamo
    `lib/kv-router`, `selector/default.rs`, with the defaults of its `router-configuration.md`; there in blocks, here
    in tokens. Differs from Dynamo: one tier of cache; the context that counts as decode work holds the expected answers
    too, and a prefix that several running requests share counts once for each. So where prefixes are long and shared it
    leaves their holders sooner than Dynamo would.
    """

    overlap_score_credit: float = 1.0
    """What a matched token is worth in tokens of prefill; more than 1 may offset decode work."""
    overlap_score_credit_decay: float = 0.0
    """How fast the credit fades where more prefill waits than at the least loaded; 0: not at all."""
    prefill_load_scale: float = 1.0
    """Weight of prefill against decode."""
    decode_active_request_weight: float = 0.0
    """Blocks of decode work that each request under way counts beside its context."""
    block_tokens: int = 64
    """Tokens of a block, the unit of the weight above."""

    def __post_init__(self) -> None:
        at_least("overlapScoreCredit", self.overlap_score_credit, 0)
        at_least("overlapScoreCreditDecay", self.overlap_score_credit_decay, 0)
        at_least("prefillLoadScale", self.prefill_load_scale, 0)
        at_least("decodeActiveRequestWeight", self.decode_active_request_weight, 0)
        more_than("blockTokens", self.block_tokens, 0)

    def cost(self, request: InferenceRequest, view: View) -> Values:  # noqa: ARG002
        """Tokens; below zero where the credit is worth more than all that is to be done."""
        prompt, waiting = view.features.prompt_tokens, view.backlog_tokens
        prefill = (waiting + prompt - view.matched_tokens * self._credit(waiting, prompt)) * self.prefill_load_scale
        decode = view.context_tokens + prompt
        total = prefill + decode
        view.note("prefill", prefill)
        view.note("decode", decode)
        if self.decode_active_request_weight:
            requests = view.outstanding * (self.decode_active_request_weight * self.block_tokens)
            view.note("requests", requests)
            total += requests
        return total

    def _credit(self, waiting: Values, prompt_tokens: float) -> Values | float:
        if not self.overlap_score_credit_decay or not prompt_tokens:
            return self.overlap_score_credit
        excess: Values = (waiting - waiting.min()) / prompt_tokens
        return self.overlap_score_credit / (1.0 + self.overlap_score_credit_decay * excess)

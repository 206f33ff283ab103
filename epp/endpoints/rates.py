"""What is learned of each endpoint's speed and cache, and of each model's bytes per token.

Nothing here needs calibration, and everything has a neutral value before anything is learned: an endpoint of unknown
speed counts as the pool's median.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np
from numpy.typing import NDArray

from epp.endpoints.table import EndpointTable, Row

__all__ = ["Rates", "TokenEstimates"]

_SAMPLES = 64
_MIN_SAMPLES = 8
_QUANTILE = 0.5
"""The median. Higher quantiles pick the samples whose work in front was nearly done: of a server of exactly 8,000
tokens/s the 0.9 quantile (vLLM router, SMetric policy) made 10,000 to 24,000, the median 8,200 to 10,200."""

_MIN_WORK_TOKENS = 256.0
"""Less work says more about fixed overhead than about speed."""

_SLOWNESS_RANGE = (0.25, 4.0)
"""One odd measurement must not decide everything."""

_SMOOTHING = 0.1
_SLOW_SMOOTHING = 0.02


class Rates:
    """Prefill rate, token interval and cache trust of each endpoint of a table."""

    DEFAULT_PREFILL_RATE = 8000.0
    """Tokens per second. Before rates are learned, only adapter loads and ends that nobody will tell need one."""
    DEFAULT_TOKEN_INTERVAL_S = 0.03

    def __init__(self, table: EndpointTable) -> None:
        self._table = table
        self._samples: dict[Row, deque[float]] = {}
        self._changed = False
        self.version = 0
        """Goes up when `relative_slowness` changes."""
        self.uniform = True
        """Nothing is known of any endpoint's speed."""
        self.token_interval = self.DEFAULT_TOKEN_INTERVAL_S
        """Seconds per output token of the pool's middle endpoint; a default before anything is learned."""
        self._prefill_rate: float | None = None

    def first_token(self, row: Row, work_tokens: float, elapsed_s: float) -> None:
        """A first token came `elapsed_s` after the placement; `work_tokens` of prefill were in front or its own."""
        if work_tokens < _MIN_WORK_TOKENS or elapsed_s <= 0:
            return
        samples = self._samples.setdefault(row, deque(maxlen=_SAMPLES))
        samples.append(work_tokens / elapsed_s)
        if len(samples) >= _MIN_SAMPLES:
            ranked = sorted(samples)
            self._table.columns.prefill_rate[row] = ranked[int(_QUANTILE * (len(ranked) - 1))]
            self._changed = True

    def finished(self, row: Row, output_tokens: int, decode_s: float) -> None:
        """A reply of `output_tokens` took `decode_s` from its first token to its end."""
        if output_tokens < 2 or decode_s <= 0:
            return
        column = self._table.columns.token_interval
        column[row] = _smooth(column[row], decode_s / (output_tokens - 1))
        self._changed = True

    def cache_seen(self, row: Row, predicted_tokens: float, observed_tokens: float) -> None:
        """The server told how much of the prompt was cached, after we had predicted it."""
        if predicted_tokens <= 0:
            return
        column = self._table.columns.cache_trust
        share = min(1.0, observed_tokens / predicted_tokens)
        column[row] += _SMOOTHING * (share - column[row])

    def forget(self, row: Row) -> None:
        """The endpoint is gone."""
        self._samples.pop(row, None)

    def refresh(self, *, force: bool = False) -> None:
        """Brings `relative_slowness` and the pool's medians up to date where rates have changed, or by `force` when the
        endpoints have. For a few times a second.
        """
        if not (self._changed or force):
            return
        self._changed = False
        self.version += 1
        columns, live = self._table.columns, self._table.live_rows
        rate = columns.prefill_rate[live]
        known = rate > 0
        slowness = np.ones(len(live))
        self.uniform = not known.any()
        self._prefill_rate = _median_of_known(rate)
        if self._prefill_rate is not None:
            slowness[known] = self._prefill_rate / rate[known]
        columns.relative_slowness[live] = np.minimum(np.maximum(slowness, _SLOWNESS_RANGE[0]), _SLOWNESS_RANGE[1])
        self.token_interval = _median_of_known(columns.token_interval[live]) or self.DEFAULT_TOKEN_INTERVAL_S

    def prefill_rate(self, default: float = DEFAULT_PREFILL_RATE) -> float:
        """Tokens per second of the pool's middle endpoint; `default` before anything is learned."""
        return self._prefill_rate or default


def _median_of_known(values: NDArray[np.float64]) -> float | None:
    """`numpy.median` takes ten times as long for the few values of a pool."""
    known = np.sort(values[values > 0])
    size = len(known)
    return float((known[(size - 1) // 2] + known[size // 2]) / 2) if size else None


def _smooth(old: float, sample: float) -> float:
    return sample if old == 0 else old + _SMOOTHING * (sample - old)


class TokenEstimates:
    """How many tokens a prompt or an answer will have, learned per model from what replies report."""

    DEFAULT_BYTES_PER_TOKEN = 4.0
    """English JSON text with common tokenizers; learned per model at the first reply with usage."""
    DEFAULT_OUTPUT_TOKENS = 256.0
    DEFAULT_PROMPT_TOKENS = 1024.0
    TOKENS_PER_MEDIA = 500.0
    """Assumed for an image or audio item; servers do not report it apart."""
    _MAX_MODELS = 1024

    def __init__(self) -> None:
        self._bytes_per_token: OrderedDict[str, float] = OrderedDict()
        self._output_tokens: OrderedDict[str, float] = OrderedDict()
        self.mean_bytes_per_token = self.DEFAULT_BYTES_PER_TOKEN
        """Over all models, by requests."""
        self.mean_prompt_tokens = self.DEFAULT_PROMPT_TOKENS
        """Of the requests placed lately."""

    def placed(self, prompt_tokens: float) -> None:
        """A request with a prompt was placed."""
        self.mean_prompt_tokens += _SLOW_SMOOTHING * (prompt_tokens - self.mean_prompt_tokens)

    def bytes_per_token(self, model: str) -> float:
        """Raw prompt bytes per token."""
        return self._bytes_per_token.get(model, self.DEFAULT_BYTES_PER_TOKEN)

    def output_tokens(self, model: str, limit: int | None) -> float:
        """Expected length of an answer, which cannot pass the client's limit."""
        expected = self._output_tokens.get(model, self.DEFAULT_OUTPUT_TOKENS)
        return expected if limit is None else min(expected, float(limit))

    def prompt_seen(self, model: str, prompt_bytes: int, prompt_tokens: int) -> None:
        """A reply told how many tokens a prompt of text alone had."""
        if prompt_bytes > 0 and prompt_tokens > 0:
            ratio = min(64.0, max(0.25, prompt_bytes / prompt_tokens))
            self._learn(self._bytes_per_token, model, ratio)
            self.mean_bytes_per_token += _SLOW_SMOOTHING * (ratio - self.mean_bytes_per_token)

    def output_seen(self, model: str, output_tokens: int) -> None:
        """A reply was this long."""
        if output_tokens > 0:
            self._learn(self._output_tokens, model, float(output_tokens))

    def _learn(self, values: OrderedDict[str, float], model: str, sample: float) -> None:
        values[model] = _smooth(values.get(model, 0.0), sample)
        values.move_to_end(model)
        if len(values) > self._MAX_MODELS:
            values.popitem(last=False)

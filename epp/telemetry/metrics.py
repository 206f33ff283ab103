"""Counts what happens to requests: the router's observer, one per pool.

It is called on the request path, so it does no more than add to plain numbers. What can be derived from state at the
time of a scrape is not counted here but read by `collectors`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import Row, Verdict
from epp.prefix import BLOCK_BYTES
from epp.router import STATUS, DecisionRecord, Phases, Reason
from epp.scheduling import Outcome
from epp.telemetry import catalogue
from epp.telemetry.families import Histogram, Page
from epp.telemetry.labels import MAX_PAIRS, MAX_UNLISTED_PAIRS, OTHER, ModelSeries, bounded, status_label
from epp.telemetry.predictions import Predictions

__all__ = ["EndpointCounts", "RequestMetrics"]

ERROR_CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "BadRequest",
        404: "NotFound",
        413: "BadRequest",
        429: "ResourceExhausted",
        500: "Internal",
        503: "ServiceUnavailable",
    }
)
"""The Go picker's codes by our statuses. It has none for 413."""

MODEL_SERVER_ERROR = "ModelServerError"

MAX_ENDPOINTS = 16_384
"""Endpoints that are counted while nobody scrapes; a scrape forgets those that have left."""

MAX_ATTEMPTS = 16_384
"""Pairs of endpoint and target model; beyond, the model is `other`."""

MAX_PLUGINS = 256
MAX_NOTES = 32

_REFUSED_BY_SCHEDULER = frozenset({Reason.NO_ENDPOINTS, Reason.SATURATED})


class _Model:
    """Counts of one pair of model and target model."""

    __slots__ = (
        "cached_tokens",
        "duration",
        "failed",
        "finished",
        "first_token",
        "input_tokens",
        "model",
        "output_tokens",
        "per_token",
        "placed",
        "reply_size",
        "size",
        "streaming_per_token",
        "target",
    )

    def __init__(self, model: str, target: str) -> None:
        self.model = model
        self.target = target
        self.placed = 0
        self.finished = 0
        self.failed = 0
        self.duration = Histogram(catalogue.REQUEST_DURATION)
        self.size = Histogram(catalogue.REQUEST_SIZE)
        self.reply_size = Histogram(catalogue.RESPONSE_SIZE)
        self.input_tokens = Histogram(catalogue.INPUT_TOKENS)
        self.output_tokens = Histogram(catalogue.OUTPUT_TOKENS)
        self.cached_tokens = Histogram(catalogue.CACHED_TOKENS)
        self.first_token = Histogram(catalogue.FIRST_TOKEN)
        self.per_token = Histogram(catalogue.PER_TOKEN)
        self.streaming_per_token = Histogram(catalogue.STREAMING_PER_TOKEN)

    def ended(self, outcome: Outcome) -> None:
        self.finished += 1
        if outcome.status >= 400 or outcome.verdict is Verdict.FAILED:
            self.failed += 1
        elif outcome.verdict is Verdict.UNKNOWN:
            return
        self.duration.observe(outcome.duration_s)
        if outcome.reply_bytes is not None:
            self.reply_size.observe(outcome.reply_bytes)
        if outcome.time_to_first_token_s is not None:
            self.first_token.observe(outcome.time_to_first_token_s)
        if outcome.prompt_tokens is not None:
            self.input_tokens.observe(outcome.prompt_tokens)
        if outcome.cached_tokens is not None:
            self.cached_tokens.observe(outcome.cached_tokens)
        if outcome.completion_tokens is not None:
            self._generated(outcome.completion_tokens, outcome)

    def _generated(self, tokens: int, outcome: Outcome) -> None:
        self.output_tokens.observe(tokens)
        if tokens > 0:
            self.per_token.observe(outcome.duration_s / tokens)
        if tokens > 1 and outcome.time_to_first_token_s is not None:
            self.streaming_per_token.observe((outcome.duration_s - outcome.time_to_first_token_s) / (tokens - 1))

    def collect(self, page: Page, pool: str) -> None:
        labels = (pool, self.model, self.target)
        page.add(catalogue.REQUESTS, labels, self.placed)
        page.add(catalogue.RUNNING, labels, self.placed - self.finished)
        page.add(catalogue.REQUEST_SIZE, labels, self.size)
        page.add(catalogue.RESPONSE_SIZE, labels, self.reply_size)
        page.add(catalogue.REQUEST_DURATION, labels, self.duration)
        page.add(catalogue.INPUT_TOKENS, labels, self.input_tokens)
        page.add(catalogue.OUTPUT_TOKENS, labels, self.output_tokens)
        page.add(catalogue.CACHED_TOKENS, labels, self.cached_tokens)
        page.add(catalogue.FIRST_TOKEN, (*labels, "true"), self.first_token)
        page.add(catalogue.PER_TOKEN, labels, self.per_token)
        page.add(catalogue.STREAMING_PER_TOKEN, labels, self.streaming_per_token)
        if self.failed:
            page.add(catalogue.REQUEST_ERRORS, (*labels, MODEL_SERVER_ERROR), self.failed)
        if self.model != self.target:
            page.add(catalogue.MODEL_REWRITES, labels, self.placed)


class EndpointCounts:
    """Counts of one endpoint. They are shown with its names, which the table knows (`collectors`)."""

    __slots__ = ("placed", "replies")

    def __init__(self) -> None:
        self.placed: dict[str, int] = {}
        """By target model."""
        self.replies: Counter[tuple[str, str]] = Counter()
        """By status and verdict."""


class _Decisions:
    """Counts of one pool's decisions, whatever the model."""

    def __init__(self) -> None:
        self.processing = Histogram(catalogue.PROCESSING)
        self.schedule = Histogram(catalogue.SCHEDULING)
        self.parse = Histogram(catalogue.PHASES)
        self.prepare = Histogram(catalogue.PHASES)
        self.charge = Histogram(catalogue.PHASES)
        self.hit_ratio = Histogram(catalogue.HIT_RATIO)
        self.hit_bytes = Histogram(catalogue.HIT_BYTES)
        self.predictions = Predictions()

    def timed(self, phases: Phases) -> None:
        self.parse.observe(phases.parse_s)
        self.prepare.observe(phases.prepare_s)
        self.schedule.observe(phases.schedule_s)
        self.charge.observe(phases.charge_s)
        self.processing.observe(phases.parse_s + phases.prepare_s + phases.schedule_s + phases.charge_s)

    def matched(self, share: float, blocks_by_row: NDArray[np.int64] | None, row: Row) -> None:
        self.hit_ratio.observe(share)
        self.hit_bytes.observe(0 if blocks_by_row is None else int(blocks_by_row[row]) * BLOCK_BYTES)

    def collect(self, page: Page, pool: str) -> None:
        page.add(catalogue.PROCESSING, (pool,), self.processing)
        page.add(catalogue.SCHEDULING, (pool,), self.schedule)
        for name in ("parse", "prepare", "schedule", "charge"):
            page.add(catalogue.PHASES, (pool, name), getattr(self, name))
        page.add(catalogue.HIT_RATIO, (pool,), self.hit_ratio)
        page.add(catalogue.HIT_BYTES, (pool,), self.hit_bytes)
        self.predictions.collect(page, pool)


class RequestMetrics:
    """A `RouterObserver` that counts. A placement and its end cost 7 to 10 us together."""

    def __init__(self, pool: str, *, unlisted_models: int = MAX_UNLISTED_PAIRS) -> None:
        """`unlisted_models`: room for names that clients may have made up."""
        self.pool = pool
        self.models: ModelSeries[_Model] = ModelSeries(_Model, unlisted=unlisted_models)
        """`PoolCollector` tells it which names are known."""
        self.endpoints: dict[str, EndpointCounts] = {}
        """By address."""
        self._decisions = _Decisions()
        self._profiles: dict[str, dict[str, int]] = {}
        self._rejections: Counter[Reason] = Counter()
        self._refused: dict[str, Counter[str]] = {}
        self._unscheduled: Counter[str] = Counter()
        self._running: dict[str, _Model] = {}
        self._attempts = 0
        self._failures: Counter[str] = Counter()
        self._slow: Counter[str] = Counter()
        self._off: Counter[str] = Counter()

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """A request was placed."""
        model = self._running[record.id] = self.models.of(record.model, record.target_model)
        model.placed += 1
        model.size.observe(record.size_bytes)
        self._decisions.timed(phases)
        decision = record.decision
        first, trace = decision.placements[0], decision.trace
        if trace.prompt_tokens > 0:
            self._decisions.matched(first.matched_tokens / trace.prompt_tokens, trace.blocks_by_row, decision.row)
        try:
            self._profiles[first.profile][trace.note] += 1
        except KeyError:
            self._first_decision(first.profile, trace.note)
        try:
            self.endpoints[first.address].placed[model.target] += 1
        except KeyError:
            self._first_attempt(first.address, model.target)

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:  # noqa: ARG002
        """A request was refused. How large it was and its id are not counted."""
        label = bounded(self._refused, self.models.label(model), MAX_PAIRS)
        self._rejections[reason] += 1
        self._refused.setdefault(label, Counter())[ERROR_CODES[STATUS[reason]]] += 1
        if reason in _REFUSED_BY_SCHEDULER:
            self._unscheduled[label] += 1

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over. One that was placed before this observer listened is passed over."""
        model = self._running.pop(record.id, None)
        if model is None:
            return
        model.ended(outcome)
        placement = record.decision.placements[0]
        counts = self._endpoint(record.served or placement.address)
        counts.replies[(status_label(outcome.status), outcome.verdict.value)] += 1
        self._decisions.predictions.compare(record, outcome)

    def plugin_failed(self, name: str, error: Exception) -> None:  # noqa: ARG002 - the interface's
        """A plugin raised or returned nonsense."""
        self._failures[bounded(self._failures, name, MAX_PLUGINS)] += 1

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:  # noqa: ARG002 - the interface's
        """A plugin took longer than it may."""
        self._slow[bounded(self._slow, name, MAX_PLUGINS)] += 1
        if switched_off:
            self._off[bounded(self._off, name, MAX_PLUGINS)] += 1

    def forget_endpoints(self, live: Collection[str]) -> None:
        """Endpoints that have left are no longer shown."""
        for address in [one for one in self.endpoints if one not in live]:
            self._forget(address)

    def collect(self, page: Page) -> None:
        """Adds all but the endpoints' counts."""
        for model in self.models.all():
            model.collect(page, self.pool)
        page.add(catalogue.OTHER_MODELS, (self.pool,), self.models.overflowed)
        self._decisions.collect(page, self.pool)
        for profile, notes in self._profiles.items():
            for note, count in notes.items():
                page.add(catalogue.DECISIONS, (self.pool, profile, note), count)
        for label, codes in self._refused.items():
            for code, count in codes.items():
                page.add(catalogue.REQUEST_ERRORS, (self.pool, label, "", code), count)
        for label, count in self._unscheduled.items():
            page.add(catalogue.SCHEDULED, (self.pool, "failure", label, "", "", ""), count)
        for reason in Reason:
            page.add(catalogue.REJECTIONS, (self.pool, reason.value), self._rejections[reason])
        self._collect_plugins(page)

    def _collect_plugins(self, page: Page) -> None:
        counted = (
            (catalogue.PLUGIN_FAILURES, self._failures),
            (catalogue.PLUGIN_SLOW, self._slow),
            (catalogue.PLUGIN_OFF, self._off),
        )
        for family, counts in counted:
            for name, count in counts.items():
                page.add(family, (self.pool, name), count)

    def _first_decision(self, profile: str, note: str) -> None:
        """The first one with this profile and note, or one of those for which there is no room."""
        notes = self._profiles.setdefault(bounded(self._profiles, profile, MAX_PLUGINS), {})
        note = bounded(notes, note, MAX_NOTES)
        notes[note] = notes.get(note, 0) + 1

    def _first_attempt(self, address: str, target: str) -> None:
        """Likewise for an endpoint and a target model."""
        placed = self._endpoint(address).placed
        if self._attempts >= MAX_ATTEMPTS:
            target = OTHER
        self._attempts += target not in placed
        placed[target] = placed.get(target, 0) + 1

    def _endpoint(self, address: str) -> EndpointCounts:
        counts = self.endpoints.get(address)
        if counts is None:
            if len(self.endpoints) >= MAX_ENDPOINTS:
                self._forget(next(iter(self.endpoints)))
            counts = self.endpoints[address] = EndpointCounts()
        return counts

    def _forget(self, address: str) -> None:
        self._attempts -= len(self.endpoints.pop(address).placed)

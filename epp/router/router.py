"""The object of one pool: takes requests and news about replies, answers with picks and rejections.

The way of a request: parse -> resolve the model -> prepare features -> match and schedule -> charge. Each step is a
function of another module; this one keeps their order and the requests in flight. No IO, no clock: `now` is monotonic
seconds, and the stopwatch only measures.

An exchange's id names its request from `submit` to `ended`. Events for an unknown id, or after the end, do nothing, so
every charge is released exactly once whatever a proxy sends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np

from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings, Row
from epp.exchange import (
    Answer,
    BodyState,
    EndCause,
    ExchangeId,
    Headers,
    Observe,
    Pick,
    Rejection,
    ReplyEnd,
    ReplyEvent,
    ReplyFirstData,
    ReplyHeaders,
    ReplyView,
    RequestReady,
)
from epp.prefix import BLOCK_BYTES, PrefixChain, PrefixIndex
from epp.requests import InferenceRequest, ModelRestorer, dialect_of, replace_model
from epp.router.deciding import Decided, Decider, Refused
from epp.router.flights import DecisionRecord, Flight
from epp.router.observer import NullObserver, Phases, RouterObserver
from epp.router.outcomes import rejection
from epp.router.reading import BodyReader, Reader
from epp.router.replies import Replies
from epp.router.subset import SubsetMasks
from epp.router.targets import REWRITE_HEADERS, TargetSettings
from epp.scheduling import Outcome, Profile, Scheduler

__all__ = ["CONTROL_HEADERS", "Router", "RouterSettings"]

CONTROL_HEADERS = (
    *REWRITE_HEADERS,
    "x-llm-d-inference-objective",
    "x-gateway-inference-objective",
    "x-llm-d-inference-fairness-id",
    "x-gateway-inference-fairness-id",
    "x-llm-d-slo-ttft-ms",
    "x-llm-d-slo-tpot-ms",
    "x-slo-ttft-ms",
    "x-slo-tpot-ms",
)
"""Speak to the picker and end here. `test-epp-endpoint-selection` is not among them: the conformance suite compares
what the model server received with what was sent."""

_CONTROL_HEADERS = frozenset(name.encode() for name in CONTROL_HEADERS)

DECISION_HEADER, ENDPOINT_HEADER = "x-epp-decision-id", "x-epp-endpoint"

_NO_CHAIN = PrefixChain(b"")
_MAX_REQUEST_ID = 128
_MAX_TRACE_FIELD = 512
"""Characters; W3C Trace Context 3.3.1.5."""

HeaderPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What an operator can choose about one pool's routing."""

    pool: PoolSettings = PoolSettings()
    targets: TargetSettings = TargetSettings()
    use_subset: bool = True
    """Honour the gateway's subset hint."""
    index_bytes: int = 256 * 1024 * 1024
    """Limit for the prefix index."""
    default_capacity_blocks: int | None = None
    """Prefix blocks of 256 bytes that an endpoint holds which does not tell its cache's size; None: no limit."""
    kept_decisions: int = 256
    """Last decisions that can be explained."""
    decision_headers: bool = False
    """Tell the client the decision's id and endpoint in reply headers."""


class Router:
    """Routes the requests of one pool."""

    def __init__(
        self,
        profile: Profile,
        settings: RouterSettings,
        rng: np.random.Generator,
        *,
        observer: RouterObserver | None = None,
        reader: Reader | None = None,
        stopwatch: Callable[[], float] = lambda: 0.0,
        tag: str = "epp",
    ) -> None:
        """`reader` understands requests and replies, by default from their bytes. `tag` begins every decision's id and
        should differ between processes.
        """
        self.settings = settings
        self.observer: RouterObserver = observer or NullObserver()
        self.index = PrefixIndex(settings.index_bytes)
        self.pool = EndpointPool(settings.pool, self)
        self.decisions: deque[DecisionRecord] = deque(maxlen=settings.kept_decisions)
        self._rng = rng
        self._stopwatch = stopwatch
        self._tag = tag
        self._numbers = count(1)
        self._scheduler = Scheduler(self.pool, self.index, profile, rng)
        self._reader = reader or BodyReader()
        self._replies = Replies(self.pool, self.index, self._reader)
        self._subsets = SubsetMasks(self.pool.table)
        self._flights: dict[ExchangeId, Flight] = {}

    @property
    def profile(self) -> Profile:
        """The scheduling profile in use."""
        return self._scheduler.profile

    @property
    def in_flight(self) -> int:
        """Placed requests that are not over."""
        return len(self._flights)

    def reconfigure(self, profile: Profile, targets: TargetSettings) -> None:
        """Takes another profile and other model rules. What is known of endpoints stays."""
        self._scheduler.profile = profile
        self.settings = replace(self.settings, targets=targets)

    def replace_endpoints(self, specs: Iterable[EndpointSpec], now: float) -> None:
        """Takes the complete current set. Requests on endpoints that left go on and end as they will."""
        self.pool.replace(specs, now)

    def cache_lost(self, row: Row) -> None:
        """An endpoint left or restarted."""
        self.index.forget(row)
        self._replies.first_tokens.forget(row)

    def cache_size_seen(self, row: Row, tokens: float | None) -> None:
        """How much an endpoint's cache holds, in tokens; the index counts in blocks of prompt bytes."""
        if tokens is None:
            self.index.set_capacity(row, self.settings.default_capacity_blocks)
        else:
            self.index.set_capacity(row, int(tokens * self.pool.estimates.mean_bytes_per_token / BLOCK_BYTES))

    def submit(self, exchange: ExchangeId, ready: RequestReady, now: float) -> list[Answer]:
        """Takes a request. Its answer is among those returned, or comes from a later `tick`."""
        assert exchange not in self._flights, "an exchange asks for one pick"
        return [Answer(exchange, self._place(exchange, ready, now))]

    def preview(self, ready: RequestReady, rng: np.random.Generator, now: float) -> Decided | Refused:
        """Where a request would go now. Nothing is charged, remembered or learned; `rng` draws in the router's place.

        Plugins are called as for any other decision.
        """
        return self._decider(Scheduler(self.pool, self.index, self.profile, rng), rng).decide(ready, now)

    def tick(self, now: float) -> list[Answer]:
        """Does what time asks for, and returns answers that have become due."""
        self.pool.tick(now)
        return []

    def wake_at(self) -> float:
        """When `tick` should be called at the latest."""
        return self.pool.wake_at()

    def observe(self, exchange: ExchangeId, event: ReplyEvent, now: float) -> HeaderPairs:
        """Takes news of a reply. Returns headers to set on it, for ReplyHeaders only."""
        flight = self._flights.get(exchange)
        if flight is None:
            return ()
        match event:
            case ReplyHeaders():
                self._replies.began(flight, event, now)
                return tuple(self._reply_headers(flight, event))
            case ReplyFirstData():
                self._replies.first_data(flight, now)
            case ReplyEnd():
                del self._flights[exchange]
                self._finish(flight, self._replies.completed(flight, event, now), now)
        return ()

    def ended(self, exchange: ExchangeId, cause: EndCause, now: float) -> None:
        """The exchange is over. What was not released yet is released now, or by prediction when nobody will tell."""
        flight = self._flights.pop(exchange, None)
        if flight is not None:
            self._finish(flight, self._replies.ended(flight, cause, now), now)

    def _place(self, exchange: ExchangeId, ready: RequestReady, now: float) -> Pick | Rejection:
        decided = self._decider(self._scheduler, self._rng).decide(ready, now)
        if isinstance(decided, Refused):
            return self._reject(decided, ready)
        started = self._stopwatch()
        flight = self._flights[exchange] = self._charge(decided, ready, now)
        pick = self._pick(decided.request, flight, ready, now)
        charge_s = self._stopwatch() - started
        self.observer.placed(flight.record, Phases(decided.parse_s, decided.prepare_s, decided.schedule_s, charge_s))
        return pick

    def _decider(self, scheduler: Scheduler, rng: np.random.Generator) -> Decider:
        subsets = self._subsets if self.settings.use_subset else None
        return Decider(self.pool, scheduler, self._reader, self.settings.targets, subsets, rng, self._stopwatch)

    def _charge(self, decided: Decided, ready: RequestReady, now: float) -> Flight:
        """Puts the placement on the books: prefix index, ring of decisions, ledger with adapter slots."""
        request, features, decision = decided.request, decided.features, decided.decision
        placement, row = decision.placements[0], decision.row
        insertion = self.index.insert(features.chain, row) if features.chain else None
        known_tokens = 0.0 if insertion is None else insertion.kept * features.tokens_per_block
        if features.prompt_tokens:
            self.pool.estimates.placed(features.prompt_tokens)
        charge = self.pool.ledger.charge(
            row, placement.uncached_tokens, placement.context_tokens, now, adapter=request.adapter
        )
        work_ahead_tokens = float(self.pool.table.columns.prefill_tokens[row])
        flight = Flight(
            record=self._record(decided, self._replies.first_tokens.predicted_s(row, work_ahead_tokens), now),
            placement=placement,
            charge=charge,
            insertion=insertion,
            predicted_tokens=min(features.prompt_tokens, known_tokens),
            work_ahead_tokens=work_ahead_tokens,
            output_tokens=features.output_tokens,
            text_bytes=0 if request.media or request.prompt_tokens is not None else request.prompt_bytes,
            reply_view=ready.reply_view,
            declared=ready.declared,
        )
        self._replies.expect(flight, now)
        return flight

    def _record(self, decided: Decided, predicted_ttft_s: float, now: float) -> DecisionRecord:
        request = decided.request
        record = DecisionRecord(
            id=f"{self._tag}-{next(self._numbers)}",
            request_id=_request_id(request.headers),
            traceparent=(request.headers.get("traceparent") or "")[:_MAX_TRACE_FIELD],
            tracestate=(request.headers.get("tracestate") or "")[:_MAX_TRACE_FIELD],
            at=now,
            operation=request.operation,
            model=request.model,
            target_model=request.target_model,
            adapter=request.adapter,
            stream=request.stream,
            size_bytes=request.size_bytes,
            prompt_bytes=request.prompt_bytes,
            chain=decided.features.chain,
            decision=decided.decision,
            predicted_ttft_s=predicted_ttft_s,
        )
        if len(self.decisions) == self.settings.kept_decisions > 0:
            self.decisions[0].decision.trace.forget()  # a long request must not keep the arrays of its decision
        self.decisions.append(record)
        return record

    def _pick(self, request: InferenceRequest, flight: Flight, ready: RequestReady, now: float) -> Pick:
        reply_headers: HeaderPairs = tuple(self._placed_headers(request, flight, now))
        if self.settings.decision_headers:
            reply_headers += ((DECISION_HEADER, flight.record.id), (ENDPOINT_HEADER, flight.placement.address))
        body = self._rewritten_body(request, ready)
        restores = body is not None and bool(request.model) and ready.reply_view is ReplyView.CHUNKS
        return Pick(
            destinations=flight.record.decision.alternatives,
            remove_headers=ready.headers.among(_CONTROL_HEADERS),
            body=body,
            observe=Observe.NOTHING if ready.reply_view is ReplyView.NOTHING else Observe.ENDS,
            reply_headers=reply_headers,
            reply_transform=ModelRestorer(request.target_model, request.model) if restores else None,
            close=ready.hurried,
        )

    @staticmethod
    def _rewritten_body(request: InferenceRequest, ready: RequestReady) -> bytes | None:
        """The body with the target model in it; None when it stays as it is or cannot be changed."""
        if request.target_model == request.model or request.model_span is None:
            return None
        if ready.body_state is not BodyState.COMPLETE:
            return None
        return replace_model(ready.body, request.model_span, request.target_model)

    def _placed_headers(self, request: InferenceRequest, flight: Flight, now: float) -> Iterator[tuple[str, str]]:
        for slot, hook in self.profile.placed_hooks:
            call = partial(hook.placed, request, flight.placement, now)
            yield from (self.profile.guarded(slot, partial(_headers_of, call)) or {}).items()

    def _reply_headers(self, flight: Flight, event: ReplyHeaders) -> Iterator[tuple[str, str]]:
        for slot, hook in self.profile.replied_hooks:
            call = partial(hook.replied, flight.placement, event.served)
            yield from (self.profile.guarded(slot, partial(_headers_of, call)) or {}).items()

    def _finish(self, flight: Flight, outcome: Outcome, now: float) -> None:
        for slot, hook in self.profile.finished_hooks:
            self.profile.guarded(slot, partial(hook.finished, flight.placement, outcome, now))
        self.observer.finished(flight.record, outcome)
        flight.record.chain = _NO_CHAIN  # the ring of decisions holds the record for longer

    def _reject(self, refused: Refused, ready: RequestReady) -> Rejection:
        model = refused.request.model if refused.request else ""
        self.observer.rejected(refused.reason, model, len(ready.body), _request_id(ready.headers))
        return rejection(refused.reason, dialect_of(ready.headers), refused.message)


def _request_id(headers: Headers) -> str:
    """The client's or proxy's name for the request, shortened; empty without one."""
    return (headers.get("x-request-id") or "")[:_MAX_REQUEST_ID]


def _headers_of(call: Callable[[], Mapping[str, str] | None]) -> dict[str, str]:
    """What a hook wants to set. Raises for anything but plain text by plain text, as the hook's failure."""
    headers = dict(call() or {})
    if not all(isinstance(text, str) and text.isprintable() for pair in headers.items() for text in pair):
        raise ValueError(f"returned {headers!r:.200}, not header values by names")
    return headers

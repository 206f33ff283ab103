"""What replies teach: when work is done, how fast endpoints are, what their caches held, and whether they failed."""

from __future__ import annotations

from epp.endpoints import EndpointPool, Row, Verdict
from epp.exchange import EndCause, ReplyEnd, ReplyHeaders, ReplyView
from epp.prefix import PrefixIndex
from epp.requests import ReplyReport, Usage, read_reply
from epp.router.flights import Flight
from epp.scheduling import Outcome

__all__ = ["Replies"]

DEFAULT_PREFILL_RATE = 8000.0
"""Tokens per second, to predict ends that will not be seen before rates are learned."""

DEFAULT_TOKEN_INTERVAL_S = 0.03

_NO_USAGE = Usage()


class Replies:
    """Follows the replies of placed requests. Each method does what an event means, and is called once per event."""

    def __init__(self, pool: EndpointPool, index: PrefixIndex) -> None:
        self._pool = pool
        self._index = index
        self._reply_seen: set[tuple[bool, ReplyView]] = set()

    def expect(self, flight: Flight, now: float) -> None:
        """A request was placed. Where its first token will not be seen, its prefill is taken to end as predicted."""
        if not flight.record.stream or flight.reply_view is not ReplyView.CHUNKS:
            self._pool.ledger.release_prefill_at(flight.charge, self._first_token_at(flight, now))

    def began(self, flight: Flight, event: ReplyHeaders, now: float) -> None:
        """Reply headers came."""
        self._reply_seen.add((flight.declared, flight.reply_view))
        flight.record.status = event.status
        flight.content_type = event.content_type
        flight.event_stream = "text/event-stream" in event.content_type
        if event.served and event.served != flight.placement.address:
            self._move(flight, event.served, now)

    def first_data(self, flight: Flight, now: float) -> None:
        """The first data came: of a streamed answer that is its first token."""
        if not flight.event_stream or not 200 <= flight.record.status < 300:
            return
        flight.first_token_at = now
        flight.record.time_to_first_token_s = now - flight.record.at
        self._pool.ledger.release_prefill(flight.charge)
        if (row := self._row(flight)) is not None:
            self._pool.rates.first_token(row, flight.work_ahead_tokens, now - flight.record.at)

    def completed(self, flight: Flight, event: ReplyEnd, now: float) -> Outcome:
        """The end of the reply was seen, and of its body what the reply view shows."""
        record = flight.record
        report = read_reply(event, status=record.status, event_stream=flight.event_stream, operation=record.operation)
        if flight.reply_view is not ReplyView.CHUNKS:
            return self._close(flight, self._verdict(flight, None), _NO_USAGE, now)
        verdict = self._verdict(flight, report)
        if verdict is Verdict.GOOD:
            self._learn(flight, report, now)
        return self._close(flight, verdict, report.usage, now, event.size_bytes)

    def ended(self, flight: Flight, cause: EndCause, now: float) -> Outcome:
        """The exchange ended, and the end of the reply was not seen."""
        unseen = cause is EndCause.NO_REPLY and (flight.declared, flight.reply_view) not in self._reply_seen
        if cause is EndCause.REQUEST_ONLY or unseen:
            return self._let_go(flight, now)
        verdict = self._verdict(flight, None) if cause is EndCause.REPLY_UNSEEN else Verdict.UNKNOWN
        return self._close(flight, verdict, _NO_USAGE, now)

    def _move(self, flight: Flight, served: str, now: float) -> None:
        """Another endpoint than the pick served: charge, adapter and prefix go there."""
        flight.record.served = served
        self._leave(flight)
        self._take_back_prefix(flight)
        row = self._pool.table.row_of(served)
        if row is None:
            self._pool.ledger.release(flight.charge, now)
            return
        self._pool.ledger.move(flight.charge, row, flight.placement.uncached_tokens, now)
        if flight.record.adapter:
            self._pool.adapters.placed(row, flight.record.adapter)
        if flight.chain:
            flight.kept_blocks = 0
            flight.stamp = self._index.insert(flight.chain, row)

    def _verdict(self, flight: Flight, report: ReplyReport | None) -> Verdict:
        """What a reply says about its endpoint. Without `report` only its headers are known.

        503 in JSON is a model server that is busy; in plain text it is the proxy, which could not reach one.
        """
        status = flight.record.status
        if status == 503 and "json" in flight.content_type:
            return Verdict.BUSY
        if status >= 500:
            return Verdict.FAILED
        if 200 <= status < 300:
            return Verdict.FAILED if report is not None and report.fault is not None else Verdict.GOOD
        return Verdict.UNKNOWN

    def _learn(self, flight: Flight, report: ReplyReport, now: float) -> None:
        usage, model, estimates = report.usage, flight.record.target_model, self._pool.estimates
        if usage.prompt_tokens and flight.text_bytes:
            estimates.prompt_seen(model, flight.text_bytes, usage.prompt_tokens)
        if usage.completion_tokens:
            estimates.output_seen(model, usage.completion_tokens)
        row = self._row(flight)
        if row is None or flight.record.served:
            return
        if usage.cached_tokens is not None:
            self._pool.rates.cache_seen(row, flight.predicted_tokens, usage.cached_tokens)
        if flight.first_token_at is not None:
            self._pool.rates.finished(row, usage.completion_tokens or report.data_events, now - flight.first_token_at)

    def _let_go(self, flight: Flight, now: float) -> Outcome:
        """Nobody will tell how it goes on: the charge stays for as long as the request should take."""
        first_token_at = self._first_token_at(flight, flight.record.at)
        interval = self._pool.rates.median_token_interval(DEFAULT_TOKEN_INTERVAL_S)
        self._pool.ledger.release_later(flight.charge, first_token_at, first_token_at + flight.output_tokens * interval)
        self._leave(flight)
        return _outcome(flight, Verdict.UNKNOWN, _NO_USAGE, now)

    def _close(
        self, flight: Flight, verdict: Verdict, usage: Usage, now: float, reply_bytes: int | None = None
    ) -> Outcome:
        self._pool.ledger.release(flight.charge, now)
        self._leave(flight)
        if flight.record.status >= 400:
            self._take_back_prefix(flight)
        if (row := self._row(flight)) is not None:
            self._pool.health.replied(row, verdict, now)
        return _outcome(flight, verdict, usage, now, reply_bytes)

    def _leave(self, flight: Flight) -> None:
        """The request no longer uses its adapter there."""
        row = self._row(flight)
        if row is not None and flight.record.adapter:
            self._pool.adapters.released(row, flight.record.adapter)

    def _take_back_prefix(self, flight: Flight) -> None:
        """The endpoint did not compute this prompt."""
        row = self._row(flight)
        if row is not None and flight.chain:
            self._index.undo(flight.chain, row, flight.kept_blocks, flight.stamp)

    def _row(self, flight: Flight) -> Row | None:
        """The endpoint's row, unless it has left."""
        return flight.charge.ref.row if self._pool.table.holds(flight.charge.ref) else None

    def _first_token_at(self, flight: Flight, placed_at: float) -> float:
        rate = self._pool.rates.median_prefill_rate(DEFAULT_PREFILL_RATE)
        return placed_at + flight.work_ahead_tokens / rate


def _outcome(flight: Flight, verdict: Verdict, usage: Usage, now: float, reply_bytes: int | None = None) -> Outcome:
    record = flight.record
    record.ended = verdict.value
    record.duration_s = now - record.at
    record.prompt_tokens, record.cached_tokens = usage.prompt_tokens, usage.cached_tokens
    record.completion_tokens = usage.completion_tokens
    return Outcome(
        verdict=verdict,
        status=record.status,
        duration_s=record.duration_s,
        time_to_first_token_s=record.time_to_first_token_s,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        reply_bytes=reply_bytes,
    )

"""What replies teach: when work is done, how fast endpoints are, what their caches held, and whether they failed."""

from __future__ import annotations

from epp.endpoints import EndpointPool, Row, Verdict, canonical_address, split_address
from epp.exchange import EndCause, ReplyEnd, ReplyHeaders, ReplyView
from epp.prefix import PrefixIndex
from epp.requests import Operation, ReplyReport, Usage
from epp.router.first_tokens import FirstTokens
from epp.router.flights import Flight
from epp.router.reading import Reader
from epp.scheduling import Outcome

__all__ = ["Replies"]

_NO_USAGE = Usage()

_NOT_OFFERED = (501, 505)
"""The server does not have what the client asked for (vLLM's Rust frontend: /v1/messages)."""


class Replies:
    """Follows the replies of placed requests. Each method does what an event means, and is called once per event."""

    def __init__(self, pool: EndpointPool, index: PrefixIndex, reader: Reader) -> None:
        self._pool = pool
        self._index = index
        self._reader = reader
        self.first_tokens = FirstTokens()
        self._reply_seen: set[tuple[bool, ReplyView]] = set()

    def expect(self, flight: Flight, now: float) -> None:
        """A request was placed. Where its first token will not be seen, its prefill is taken to end as predicted."""
        if not _shows_first_token(flight):
            self._pool.ledger.release_prefill_at(flight.charge, now + flight.record.predicted_ttft_s)

    def began(self, flight: Flight, event: ReplyHeaders, now: float) -> None:
        """Reply headers came."""
        self._reply_seen.add((flight.declared, flight.reply_view))
        flight.record.status = event.status
        flight.content_type = event.content_type
        flight.event_stream = "text/event-stream" in event.content_type
        served = _canonical(event.served)
        if served and served != flight.placement.address:
            self._move(flight, served, now)

    def first_data(self, flight: Flight, now: float) -> None:
        """The first data came: of a streamed answer that is its first token."""
        if not flight.event_stream or not _shows_first_token(flight) or not 200 <= flight.record.status < 300:
            return
        flight.first_token_at = now
        flight.record.time_to_first_token_s = now - flight.record.at
        self._pool.ledger.release_prefill(flight.charge)
        row = self._row(flight)
        if row is not None and not flight.record.served:  # elsewhere other work was in front
            self._pool.rates.first_token(row, flight.work_ahead_tokens, now - flight.record.at)
            self.first_tokens.seen(row, flight.work_ahead_tokens, now - flight.record.at)

    def completed(self, flight: Flight, event: ReplyEnd, now: float) -> Outcome:
        """The end of the reply was seen, and of its body what the reply view shows."""
        record = flight.record
        report = self._reader.report(
            event, status=record.status, event_stream=flight.event_stream, operation=record.operation
        )
        if flight.reply_view is not ReplyView.CHUNKS:
            return self._close(flight, self._verdict(flight, None), _NO_USAGE, now)
        verdict = self._verdict(flight, report)
        if verdict is Verdict.GOOD:
            self._learn(flight, report, now)
        return self._close(flight, verdict, report.usage, now, event.size_bytes)

    def ended(self, flight: Flight, cause: EndCause, now: float) -> Outcome:
        """The exchange ended, and the end of the reply was not seen."""
        if cause is EndCause.REQUEST_ONLY or (cause is EndCause.NO_REPLY and not self._shows_replies(flight)):
            return self._let_go(flight, now)
        verdict = self._verdict(flight, None) if cause is EndCause.REPLY_UNSEEN else Verdict.UNKNOWN
        return self._close(flight, verdict, _NO_USAGE, now)

    def _shows_replies(self, flight: Flight) -> bool:
        """The gateway has a reply phase: it declares how it shows bodies, or has shown a reply of this kind."""
        declares = flight.declared and flight.reply_view is ReplyView.CHUNKS
        return declares or (flight.declared, flight.reply_view) in self._reply_seen

    def _move(self, flight: Flight, served: str, now: float) -> None:
        """Another endpoint than the pick served: charge, adapter and prefix go there. The pick could not be reached."""
        flight.record.served = served
        if (picked := self._row(flight)) is not None:
            self._pool.health.replied(picked, Verdict.FAILED, now, flight.record.at)
        self._take_back_prefix(flight)
        row = self._pool.table.row_of(served)
        if row is None:
            flight.served_elsewhere = True
            self._pool.ledger.release(flight.charge, now)
            return
        self._pool.ledger.move(flight.charge, row, flight.placement.uncached_tokens, now)
        if flight.insertion is not None:
            flight.insertion = self._index.insert(flight.insertion.chain, row)

    def _verdict(self, flight: Flight, report: ReplyReport | None) -> Verdict:
        """What a reply says about its endpoint. Without `report` only its headers are known.

        503 in JSON is a model server that is busy; in plain text it is the proxy, which could not reach one.
        """
        status = flight.record.status
        if status == 503 and "json" in flight.content_type:
            return Verdict.BUSY
        if status >= 500:
            return Verdict.UNKNOWN if status in _NOT_OFFERED else Verdict.FAILED
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
        first_token_at = flight.record.at + flight.record.predicted_ttft_s
        interval = self._pool.rates.token_interval
        self._pool.ledger.release_later(flight.charge, first_token_at, first_token_at + flight.output_tokens * interval)
        return _outcome(flight, Verdict.UNKNOWN, _NO_USAGE, now)

    def _close(
        self, flight: Flight, verdict: Verdict, usage: Usage, now: float, reply_bytes: int | None = None
    ) -> Outcome:
        self._pool.ledger.release(flight.charge, now)
        if flight.record.status >= 400:
            self._take_back_prefix(flight)
        if (row := self._row(flight)) is not None:
            self._pool.health.replied(row, verdict, now, flight.record.at)
        return _outcome(flight, verdict, usage, now, reply_bytes)

    def _take_back_prefix(self, flight: Flight) -> None:
        """The endpoint did not compute this prompt."""
        if self._row(flight) is not None and flight.insertion is not None:
            self._index.undo(flight.insertion)

    def _row(self, flight: Flight) -> Row | None:
        """Row of the endpoint that serves, unless it has left or never was in the pool."""
        if flight.served_elsewhere or not self._pool.table.holds(flight.charge.ref):
            return None
        return flight.charge.ref.row


def _shows_first_token(flight: Flight) -> bool:
    """A stream that we see. The Responses API begins with events that tell of the request, before any token."""
    record = flight.record
    return record.stream and flight.reply_view is ReplyView.CHUNKS and record.operation is not Operation.RESPONSES


def _canonical(served: str | None) -> str | None:
    """An address as the table writes it; None for what is no address."""
    if not served:
        return None
    try:
        host, port = split_address(served)
        return canonical_address(host, port or 0)
    except ValueError:
        return None


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

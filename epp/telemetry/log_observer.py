"""Logs what the router and the transport tell: requests at debug level, faults once per kind."""

from __future__ import annotations

import logging

from epp.exchange import EndCause
from epp.router import DecisionRecord, Phases, Reason
from epp.scheduling import Outcome
from epp.telemetry.faults import FaultLog

__all__ = ["RequestLog", "StreamLog"]


class RequestLog:
    """A `RouterObserver` that logs. Above debug level it costs a tenth of a microsecond per call."""

    def __init__(self, pool: str, logger: logging.Logger, faults: FaultLog) -> None:
        self._pool = pool
        self._logger = logger
        self._faults = faults

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """A request was placed."""
        if not self._logger.isEnabledFor(logging.DEBUG):
            return
        placement = record.decision.placements[0]
        self._debug(
            "request placed",
            record,
            model=record.model,
            target_model=record.target_model,
            operation=record.operation.value,
            size_bytes=record.size_bytes,
            endpoint=placement.address,
            matched_tokens=round(placement.matched_tokens),
            prompt_tokens=round(record.decision.trace.prompt_tokens),
            note=record.decision.trace.note,
            decision_us=round(1e6 * (phases.parse_s + phases.prepare_s + phases.schedule_s + phases.charge_s)),
        )

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
        """A request was refused."""
        if self._logger.isEnabledFor(logging.DEBUG):
            fields = {
                "pool": self._pool,
                "request_id": request_id,
                "reason": reason.value,
                "model": model,
                "size_bytes": size_bytes,
            }
            self._logger.debug("request refused", extra=fields)

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over."""
        if not self._logger.isEnabledFor(logging.DEBUG):
            return
        self._debug(
            "request finished",
            record,
            endpoint=record.served or record.decision.placements[0].address,
            verdict=outcome.verdict.value,
            status=outcome.status,
            duration_s=round(outcome.duration_s, 4),
            time_to_first_token_s=outcome.time_to_first_token_s,
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            completion_tokens=outcome.completion_tokens,
        )

    def plugin_failed(self, name: str, error: Exception) -> None:
        """A plugin raised or returned nonsense."""
        kind = f"plugin {name}: {type(error).__name__}"
        self._faults.note(kind, "a plugin failed and was neutral", error=error, pool=self._pool, plugin=name)

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """A plugin took longer than it may."""
        if switched_off:
            kind, text = f"plugin {name} off", "a plugin was slow again and again and is switched off"
        else:
            kind, text = f"plugin {name} slow", "a plugin took longer than it may and was neutral"
        self._faults.note(kind, text, pool=self._pool, plugin=name, seconds=round(seconds, 4))

    def _debug(self, text: str, record: DecisionRecord, **fields: object) -> None:
        names = {"pool": self._pool, "decision_id": record.id, "request_id": record.request_id}
        self._logger.debug(text, extra={**names, **fields})


class StreamLog:
    """A `StreamObserver` that logs."""

    def __init__(self, pool: str, faults: FaultLog) -> None:
        self._pool = pool
        self._faults = faults

    def began(self) -> None:
        """Nothing to say."""

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """Nothing to say: the request's own end tells more."""

    def proxy_fault(self, error: Exception) -> None:
        """The proxy broke the protocol."""
        kind = f"proxy fault: {type(error).__name__}: {str(error)[:80]}"
        self._faults.note(kind, "the proxy broke the ext-proc protocol", pool=self._pool, error_text=str(error))

    def internal_error(self, error: Exception) -> None:
        """We failed on a stream."""
        kind = f"internal: {type(error).__name__}"
        self._faults.note(kind, "a request failed here", error=error, level=logging.ERROR, pool=self._pool)

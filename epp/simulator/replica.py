"""One simulated picker: the router that serves traffic, fed with calls and with what it can see of their replies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.endpoints import EndpointSpec, ModelCard, Scrape
from epp.endpoints.rates import TokenEstimates
from epp.exchange import (
    BodyState,
    EndCause,
    ExchangeId,
    Headers,
    Pick,
    ReplyEnd,
    ReplyFirstData,
    ReplyHeaders,
    ReplyView,
    RequestReady,
)
from epp.prefix import PrefixChain
from epp.requests import Dialect, InferenceRequest, Operation, ReplyReport, Usage
from epp.router import Router, RouterSettings
from epp.scheduling import Features, Profile, features_of
from epp.simulator.prepared import PreparedWorkload
from epp.workloads import Api

__all__ = ["CallRequest", "Picked", "PickerReplica"]

BASE_MODEL = "sim-model"

_OPERATIONS = {Api.CHAT: Operation.CHAT, Api.COMPLETIONS: Operation.COMPLETIONS, Api.EMBEDDINGS: Operation.EMBEDDINGS}
_NO_HEADERS = Headers()
_STREAM, _JSON = "text/event-stream", "application/json"


@dataclass(frozen=True, slots=True)
class CallReady(RequestReady):
    """A call instead of a body."""

    index: int = -1


@dataclass(frozen=True, slots=True)
class CallEnd(ReplyEnd):
    """The end of a call's reply, with what it reports instead of bytes."""

    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class CallRequest(InferenceRequest):
    """A request that is known by its call."""

    index: int = -1
    """Of the call in the workload."""


class CallReader:
    """Understands calls, as `BodyReader` understands bodies."""

    def __init__(self, prepared: PreparedWorkload) -> None:
        self._prepared = prepared

    def request(self, ready: RequestReady) -> InferenceRequest:
        """The call as a request."""
        assert isinstance(ready, CallReady)
        call = self._prepared.calls[ready.index]
        model = call.adapter or call.model or BASE_MODEL
        size = self._prepared.prompt_bytes[ready.index]
        return CallRequest(
            operation=_OPERATIONS[call.api],
            dialect=Dialect.OPENAI,
            headers=ready.headers,
            size_bytes=size,
            model=model,
            target_model=model,
            stream=call.stream,
            max_output_tokens=0 if call.api is Api.EMBEDDINGS else None,
            prompt_bytes=size,
            index=ready.index,
        )

    def features(self, request: InferenceRequest, estimates: TokenEstimates, ready: RequestReady) -> Features:
        """Its prefix blocks, and sizes by what the picker has learned of bytes and tokens."""
        assert isinstance(ready, CallReady)
        chain = PrefixChain(b"") if ready.hurried else self._prepared.chain(ready.index)
        return features_of(request, estimates, chain)

    def report(self, end: ReplyEnd, *, status: int, event_stream: bool, operation: Operation) -> ReplyReport:  # noqa: ARG002
        """What the server would have written at the end of its reply."""
        assert isinstance(end, CallEnd)
        return ReplyReport(usage=end.usage)


@dataclass(frozen=True, slots=True)
class Picked:
    """Where a call goes, and what the picker expects there."""

    pod: int
    cached_tokens: float
    ttft_s: float


class PickerReplica:
    """A router in virtual time. Exchanges are named by their call's index."""

    def __init__(
        self,
        prepared: PreparedWorkload,
        profile: Profile,
        settings: RouterSettings,
        rng: np.random.Generator,
        *,
        addresses: tuple[str, ...],
        lean: bool,
    ) -> None:
        self.router = Router(profile, settings, rng, reader=CallReader(prepared))
        self._calls = prepared.calls
        self._addresses = addresses
        self._pods = {address: pod for pod, address in enumerate(addresses)}
        self._view = ReplyView.HEADERS if lean else ReplyView.CHUNKS
        self._lean = lean
        self.free_at = 0.0
        """When the picker has time for the next decision."""
        adapters = prepared.workload.adapters
        self.router.replace_endpoints([EndpointSpec(address) for address in addresses], 0.0)
        cards = (ModelCard(BASE_MODEL), *(ModelCard(name, parent=BASE_MODEL) for name in adapters))
        for address in addresses:
            self.router.pool.models_seen(address, cards, 0.0)

    def pick(self, index: int, now: float) -> Picked | None:
        """Places a call; None when it is refused."""
        self._catch_up(now)
        ready = CallReady(_NO_HEADERS, body_state=BodyState.COMPLETE, reply_view=self._view, declared=True, index=index)
        outcome = self.router.submit(ExchangeId(index), ready, now)[0].outcome
        if not isinstance(outcome, Pick):
            return None
        record = self.router.decisions[-1]
        matched_tokens = record.decision.placements[0].matched_tokens
        return Picked(self._pods[outcome.destinations[0]], matched_tokens, record.predicted_ttft_s)

    def began(self, index: int, now: float) -> None:
        """Headers of a stream, and with them its first token."""
        self._catch_up(now)
        self.router.observe(ExchangeId(index), ReplyHeaders(200, _STREAM), now)
        if not self._lean:
            self.router.observe(ExchangeId(index), ReplyFirstData(), now)

    def finished(self, index: int, usage: Usage | None, now: float) -> None:
        """The end of a stream that began. `usage`: what it reports; None when that is not seen."""
        self._catch_up(now)
        if usage is None:
            self.router.ended(ExchangeId(index), EndCause.REPLY_UNSEEN, now)
        else:
            self.router.observe(ExchangeId(index), CallEnd(usage=usage), now)
            self.router.ended(ExchangeId(index), EndCause.COMPLETE, now)

    def answered(self, index: int, usage: Usage | None, now: float) -> None:
        """A whole reply at once: one that does not stream, or of which nothing was seen but that it ended well."""
        self._catch_up(now)
        stream = self._calls[index].stream
        self.router.observe(ExchangeId(index), ReplyHeaders(200, _STREAM if stream else _JSON), now)
        self.finished(index, usage, now)

    def unreachable(self, index: int, now: float) -> None:
        """The pod died or did not take the call, and no reply had begun: the proxy answers with 503."""
        self._catch_up(now)
        self.router.observe(ExchangeId(index), ReplyHeaders(503, "text/plain"), now)
        self.router.ended(ExchangeId(index), EndCause.REPLY_UNSEEN, now)

    def cut_off(self, index: int, now: float) -> None:
        """The pod died while its reply was under way."""
        self._catch_up(now)
        self.router.ended(ExchangeId(index), EndCause.ABORTED, now)

    def turned_away(self, index: int, status: int, now: float) -> None:
        """The pod answers with an error of its own: it has no room, or the call cannot be served."""
        self._catch_up(now)
        self.router.observe(ExchangeId(index), ReplyHeaders(status, _JSON), now)
        self.router.ended(ExchangeId(index), EndCause.REPLY_UNSEEN, now)

    def scraped(self, pod: int, scrape: Scrape | None, asked_at: float, now: float) -> None:
        """A metrics page, or None when the pod gave none."""
        self._catch_up(now)
        if scrape is None:
            self.router.pool.scrape_failed(self._addresses[pod], now=now)
        else:
            self.router.pool.scraped(self._addresses[pod], scrape, asked_at, now)

    def _catch_up(self, now: float) -> None:
        """What time asks for. Between two looks at the router nobody can tell when it was done."""
        if now >= self.router.wake_at():
            self.router.tick(now)

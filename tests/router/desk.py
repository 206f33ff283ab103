"""A router with endpoints, a clock, and short words for what proxies and clients do."""

from __future__ import annotations

import json
from itertools import count

import numpy as np

from epp.endpoints import EndpointSpec, ModelCard, Scrape
from epp.exchange import (
    BodyState,
    EndCause,
    ExchangeId,
    Headers,
    Pick,
    Rejection,
    ReplyEnd,
    ReplyFirstData,
    ReplyHeaders,
    ReplyView,
    RequestReady,
)
from epp.router import Router, RouterSettings
from epp.scheduling import Profile, default_profile

LONG = "the quick brown fox jumps over the lazy dog " * 200


def address(number: int) -> str:
    return f"10.0.0.{number}:8000"


class Desk:
    """Drives a router as transports and telemetry do."""

    def __init__(
        self,
        count_: int = 2,
        settings: RouterSettings | None = None,
        profile: Profile | None = None,
        **observer: object,
    ) -> None:
        self.router = Router(
            profile or default_profile(), settings or RouterSettings(), np.random.default_rng(5), **observer
        )
        self.now = 1000.0
        self.ids = count(1)
        self.endpoints(*range(1, count_ + 1))

    def endpoints(self, *numbers: int) -> None:
        self.router.replace_endpoints([EndpointSpec(address(number)) for number in numbers], self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        assert self.router.tick(self.now) == []

    def ask(
        self,
        body: object = None,
        *,
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
        view: ReplyView = ReplyView.CHUNKS,
        state: BodyState = BodyState.COMPLETE,
        subset: tuple[str, ...] | None = None,
        declared: bool = True,
        hurried: bool = False,
    ) -> tuple[ExchangeId, Pick | Rejection]:
        data = body if isinstance(body, bytes) else json.dumps(chat() if body is None else body).encode()
        ready = RequestReady(
            Headers.of({":path": path, "content-type": "application/json"} | (headers or {})),
            data if state in (BodyState.COMPLETE, BodyState.CUT) else b"",
            state,
            subset,
            view,
            declared,
            hurried,
        )
        exchange = ExchangeId(next(self.ids))
        (answer,) = self.router.submit(exchange, ready, self.now)
        assert answer.id == exchange
        return exchange, answer.outcome

    def place(self, body: object = None, **kwargs: object) -> tuple[ExchangeId, str]:
        """Asks, and wants a pick: the exchange and where it went."""
        exchange, outcome = self.ask(body, **kwargs)  # type: ignore[arg-type]
        assert isinstance(outcome, Pick), outcome
        return exchange, outcome.destinations[0]

    def headers(
        self, exchange: ExchangeId, status: int = 200, kind: str = "text/event-stream", served: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        return self.router.observe(exchange, ReplyHeaders(status, kind, "", served), self.now)

    def first(self, exchange: ExchangeId) -> None:
        self.router.observe(exchange, ReplyFirstData(), self.now)

    def end(self, exchange: ExchangeId, reply: bytes = b"", events: int = 0) -> None:
        self.router.observe(exchange, ReplyEnd(reply, b"", len(reply), events), self.now)
        self.router.ended(exchange, EndCause.COMPLETE, self.now)

    def stop(self, exchange: ExchangeId, cause: EndCause) -> None:
        self.router.ended(exchange, cause, self.now)

    def serve(self, exchange: ExchangeId, *, prompt: int = 100, cached: int | None = None, output: int = 10) -> None:
        """The whole way of a streamed reply."""
        self.headers(exchange)
        self.first(exchange)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
        }
        self.now += 0.02 * output
        self.end(exchange, sse({"choices": []}, {"choices": [], "usage": usage}), output)

    def load(self) -> list[float]:
        """Requests on each endpoint by the ledger."""
        columns = self.router.pool.table.columns
        return [float(columns.requests[row]) for row in self.router.pool.table.live_rows]

    def prefill(self) -> list[float]:
        columns = self.router.pool.table.columns
        return [float(columns.prefill_tokens[row]) for row in self.router.pool.table.live_rows]

    def models(self, number: int, *names: str, adapters: tuple[str, ...] = ()) -> None:
        cards = tuple(ModelCard(name) for name in names) + tuple(ModelCard(name, names[0]) for name in adapters)
        self.router.pool.models_seen(address(number), cards, self.now)

    def scrape(self, number: int, **values: object) -> None:
        self.router.pool.scraped(address(number), Scrape(**values), self.now, self.now)  # type: ignore[arg-type]


def chat(text: str = LONG, model: str = "base", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": True} | more


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"

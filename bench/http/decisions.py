"""Asks a picker's debug port what it expected of each call, while the calls run: it keeps the last decisions only."""

from __future__ import annotations

import asyncio
import math

import aiohttp
import msgspec

from bench.http.results import Prediction

__all__ = ["Predictions", "follow_decisions"]

_EVERY_S = 0.5
"""A picker keeps 256 decisions by default: enough for 500 calls per second."""

_LAST = 256
_TIMEOUT_S = 5.0


class _Predicted(msgspec.Struct):
    time_to_first_token_s: float | None = None
    cached_tokens: float | None = None


class _Decision(msgspec.Struct):
    id: str
    request_id: str = ""
    predicted: _Predicted = msgspec.field(default_factory=_Predicted)


class _Page(msgspec.Struct):
    decisions: list[_Decision]


_PAGE = msgspec.json.Decoder(_Page)


class Predictions:
    """What a picker expected, by the ids of its decisions and of the requests."""

    def __init__(self) -> None:
        self.by_id: dict[str, Prediction] = {}
        self.problem = ""
        """Why the last page could not be read; empty: it could."""

    def take(self, page: bytes) -> None:
        """Adds a page of `/debug/decisions`. Raises ValueError for what is none."""
        for decision in _PAGE.decode(page).decisions:
            found = decision.predicted
            prediction = Prediction(_number(found.cached_tokens), _number(found.time_to_first_token_s))
            self.by_id[decision.id] = prediction
            if decision.request_id:
                self.by_id[decision.request_id] = prediction


async def follow_decisions(url: str, predictions: Predictions, ended: asyncio.Event) -> None:
    """Reads the page again and again until `ended`, and once more then. `url`: `http://HOST:PORT/debug/decisions`."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        last = False
        while not last:
            last = ended.is_set()
            try:
                async with session.get(url, params={"last": str(_LAST)}) as response:
                    response.raise_for_status()
                    predictions.take(await response.read())
                predictions.problem = ""
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                predictions.problem = f"{url}: {type(error).__name__}: {error}"[:300]
            if not last:
                await _wait(ended, _EVERY_S)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

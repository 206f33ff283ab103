# ruff: noqa: TID251 - this file is an edge: it is a client, and measures time
"""People who chat, for the demo: each sends a conversation turn by turn through the gateway and waits for the answer.

Some share a system prompt (a team with one assistant), and every turn repeats the conversation so far, as chat clients
do: that is what a prefix cache saves.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

__all__ = ["Call", "ChatSettings", "run_chats", "share_cached"]

SERVED_BY = "x-served-by"
"""Header in which simulated pods name themselves."""

_SENTENCE = "Answer in the manner of team {team}, rule {rule}: be brief, be kind, cite the handbook where it helps. "
_QUESTION = "Question {turn} of person {person}: what does the handbook say about item {turn}-{person}? "


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How much is chatted."""

    people: int = 32
    teams: int = 16
    turns: int = 5
    rules: int = 90
    """Sentences in a team's system prompt; 90 are about 2,200 tokens."""
    answer_tokens: int = 24
    model: str = "sim-model"


@dataclass(frozen=True, slots=True)
class Call:
    """What became of one request."""

    failure: str = ""
    """Why there is no whole answer; empty when there is one."""
    served_by: str = ""
    first_token_s: float = 0.0
    total_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0


async def run_chats(url: str, settings: ChatSettings, done: Callable[[], None]) -> Sequence[Call]:
    """Everybody chats at once. `done` is called after each answer."""
    calls: list[Call] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def chat(person: int) -> None:
            team = person % settings.teams
            rules = "".join(_SENTENCE.format(team=team, rule=rule) for rule in range(settings.rules))
            messages = [{"role": "system", "content": rules}]
            for turn in range(settings.turns):
                messages.append({"role": "user", "content": _QUESTION.format(turn=turn, person=person)})
                call, answer = await _ask(session, url, messages, settings)
                calls.append(call)
                messages.append({"role": "assistant", "content": answer})
                done()

        await asyncio.gather(*(chat(person) for person in range(settings.people)))
    return calls


@dataclass(slots=True)
class _Reply:
    """A streamed answer as far as it has come."""

    text: str = ""
    usage: dict[str, object] = field(default_factory=dict)
    error: str = ""
    complete: bool = False

    def take(self, line: bytes) -> None:
        """A line of the event stream."""
        if line.startswith(b"data: [DONE]"):
            self.complete = True
        elif line.startswith(b"data: {"):
            event = json.loads(line[len(b"data: ") :])
            self.usage = event.get("usage") or self.usage
            self.error = self.error or str(event.get("error") or "")
            for choice in event.get("choices", ()):
                self.text += choice.get("delta", {}).get("content") or ""


async def _ask(
    session: aiohttp.ClientSession, url: str, messages: Sequence[dict[str, str]], settings: ChatSettings
) -> tuple[Call, str]:
    body = {
        "model": settings.model,
        "messages": messages,
        "max_tokens": settings.answer_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, read = time.perf_counter(), 0.0, _Reply()
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            if reply.status != 200:
                return Call(failure=f"HTTP {reply.status}: {(await reply.text())[:200]}"), ""
            async for line in reply.content:
                read.take(line)
                first = first or (time.perf_counter() - began if read.text else 0.0)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Call(failure=f"{type(error).__name__}: {error}"), ""
    call = Call(
        failure=read.error or ("" if read.complete else "the answer was cut off"),
        served_by=reply.headers.get(SERVED_BY, ""),
        first_token_s=first,
        total_s=time.perf_counter() - began,
        prompt_tokens=_tokens(read.usage, "prompt_tokens"),
        cached_tokens=_tokens(read.usage.get("prompt_tokens_details"), "cached_tokens"),
    )
    return call, read.text


def _tokens(usage: object, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) else 0


def share_cached(calls: Sequence[Call]) -> float:
    """Share of all prompt tokens that a cache held."""
    return sum(call.cached_tokens for call in calls) / max(1, sum(call.prompt_tokens for call in calls))

# ruff: noqa: TID251 - this file is an edge: it is a client, and measures time
"""People who chat, for the demo: each sends a conversation turn by turn through the gateway and waits for the answer.

Some share a system prompt (a team with one assistant), and every turn repeats the conversation so far, as chat clients
do: that is what a prefix cache saves.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

    status: int
    served_by: str
    first_token_s: float
    total_s: float
    prompt_tokens: int
    cached_tokens: int


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
    began, first, answer = time.perf_counter(), 0.0, ""
    usage: dict[str, object] = {}
    async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
        async for line in reply.content:
            if not line.startswith(b"data: {"):
                continue
            first = first or time.perf_counter() - began
            event = json.loads(line[len(b"data: ") :])
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                answer += choice.get("delta", {}).get("content") or ""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens", 0) if isinstance(details, dict) else 0
    prompt = usage.get("prompt_tokens", 0)
    return (
        Call(
            status=reply.status,
            served_by=reply.headers.get(SERVED_BY, ""),
            first_token_s=first,
            total_s=time.perf_counter() - began,
            prompt_tokens=prompt if isinstance(prompt, int) else 0,
            cached_tokens=int(cached),
        ),
        answer,
    )


def share_cached(calls: Sequence[Call]) -> float:
    """Share of all prompt tokens that a cache held."""
    return sum(call.cached_tokens for call in calls) / max(1, sum(call.prompt_tokens for call in calls))


def requests_by_pod(calls: Sequence[Call]) -> Counter[str]:
    """Answers by the pod that gave them."""
    return Counter(call.served_by for call in calls)

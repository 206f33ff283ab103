# ruff: noqa: TID251 - an edge: requests and waiting around a Reflector
"""Drives a reflector: does what it says, tells it what came of it, and logs what it finds worth telling."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar, assert_never

from epp.discovery.kubernetes.answers import ApiError
from epp.discovery.kubernetes.api_client import ApiClient
from epp.discovery.kubernetes.reflector import ListFrom, Pause, Recovered, Reflector, WatchFrom
from epp.discovery.kubernetes.resources import Resource

__all__ = ["follow"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


async def follow(api: ApiClient, resource: Resource, reflector: Reflector[T], changed: Callable[[], None]) -> None:
    """Runs until cancelled. `changed` is called when the reflector's generation is another one."""
    loop = asyncio.get_running_loop()
    generation = reflector.generation
    while True:
        match reflector.step(loop.time()):
            case Pause(until):
                await asyncio.sleep(max(0.0, until - loop.time()))
            case ListFrom() as step:
                await _list(api, resource, reflector, step)
            case WatchFrom() as step:
                await _watch(api, resource, reflector, step, changed)
            case other:
                assert_never(other)
        _tell(resource, reflector)
        if reflector.generation != generation:
            generation = reflector.generation
            changed()


async def _list(api: ApiClient, resource: Resource, reflector: Reflector[T], step: ListFrom) -> None:
    clock = asyncio.get_running_loop().time
    try:
        body = await api.get(resource.path, resource.list_query(step))
    except ApiError as error:
        reflector.failed(error, clock())
    else:
        reflector.listed(body, clock())


async def _watch(
    api: ApiClient, resource: Resource, reflector: Reflector[T], step: WatchFrom, changed: Callable[[], None]
) -> None:
    clock = asyncio.get_running_loop().time
    try:
        async with api.watch(resource.path, resource.watch_query(step), step.timeout_s) as lines:
            reflector.opened(clock())
            _tell(resource, reflector)
            async for line in lines:
                generation = reflector.generation
                if not reflector.event(line, clock()):
                    return
                _tell(resource, reflector)
                if reflector.generation != generation:
                    changed()
    except ApiError as error:
        reflector.failed(error, clock())
    else:
        reflector.ended(clock())


def _tell(resource: Resource, reflector: Reflector[T]) -> None:
    for notice in reflector.take_notices():
        level = logging.INFO if isinstance(notice, Recovered) else logging.WARNING
        _LOG.log(level, "%s", resource.told(notice))

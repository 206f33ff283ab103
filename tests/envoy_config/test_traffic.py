"""Requests through a real Envoy with our configurations, and a picker that says what it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientSession

from epp.envoy import EnvoySettings, Observation, PickerTls, Routing
from epp.protocol import DESTINATION, LB_NAMESPACE, SERVED, SUBSET, SUBSET_NAMESPACE

pytestmark = pytest.mark.envoy

PROMPT = b'{"model": "m", "prompt": "Hello"}'

OVERRIDE: dict[str, Any] = {"routing": Routing.OVERRIDE_HOST, "picker_tls": None}
ORIGINAL: dict[str, Any] = {"routing": Routing.ORIGINAL_DESTINATION, "picker_tls": None}


async def post(
    client: ClientSession, envoy: Any, body: bytes = PROMPT, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    async with client.post(
        f"http://{envoy.listener_address}/v1/completions", data=BytesIO(body), headers=headers
    ) as reply:
        return reply.status, await reply.text()


@pytest.mark.parametrize("routing", Routing, ids=lambda routing: routing.value)
async def test_the_picker_decides_whatever_the_client_asked_for(
    routing: Routing, envoy: Any, backend: Any, picker: Any, client: ClientSession
) -> None:
    picked, wanted = await backend(), await backend()
    told = await picker(picked.address)
    endpoints = (picked.address, wanted.address) if routing is Routing.OVERRIDE_HOST else ()
    proxy = await envoy(EnvoySettings(routing=routing, picker_tls=None, picker_port=told.port, endpoints=endpoints))
    assert await post(client, proxy, headers={DESTINATION: wanted.address}) == (200, picked.address)
    assert DESTINATION not in told.request_headers[0]
    ((headers, length),) = picked.requests
    assert (headers[DESTINATION], length) == (picked.address, len(PROMPT))


async def test_failing_open_serves_bodies_and_is_not_steered_by_the_client(
    envoy: Any, backend: Any, unused_port: int, client: ClientSession
) -> None:
    one, other = await backend(), await backend()
    proxy = await envoy(
        EnvoySettings(
            **OVERRIDE,
            fail_open=True,
            endpoints=(one.address, other.address),
            picker_port=unused_port,
            picker_health_port=unused_port,
        )
    )
    spoofed = {DESTINATION: one.address}
    replies = Counter([await post(client, proxy, headers=spoofed) for _ in range(6)])
    assert replies == {(200, one.address): 3, (200, other.address): 3}, "round robin"
    assert not any(DESTINATION in headers for headers, _ in one.requests + other.requests)


async def test_failing_closed_serves_nothing(envoy: Any, backend: Any, unused_port: int, client: ClientSession) -> None:
    only = await backend()
    proxy = await envoy(EnvoySettings(**OVERRIDE, endpoints=(only.address,), picker_port=unused_port))
    status, _ = await post(client, proxy)
    assert (status, only.requests) == (500, [])


async def test_a_picker_that_leaves_without_a_word_does_not_let_the_client_choose(
    envoy: Any, backend: Any, picker: Any, client: ClientSession
) -> None:
    wanted = await backend()
    silent = await picker(None)
    proxy = await envoy(EnvoySettings(**ORIGINAL, picker_port=silent.port))
    status, _ = await post(client, proxy, headers={DESTINATION: wanted.address})
    assert (status, wanted.requests) == (503, [])


async def test_a_destination_that_refuses_is_followed_by_the_next(
    envoy: Any, backend: Any, picker: Any, unused_port: int, client: ClientSession
) -> None:
    alive = await backend()
    dead = f"127.0.0.1:{unused_port}"
    told = await picker(f"{dead},{alive.address}")
    proxy = await envoy(
        EnvoySettings(**OVERRIDE, endpoints=(dead, alive.address), max_destinations=2, picker_port=told.port)
    )
    body = b"x" * 3_000_000  # more than a connection's buffer
    assert await post(client, proxy, body) == (200, alive.address)
    assert alive.requests[0][1] == len(body)
    assert {names.get(LB_NAMESPACE, {}).get(SERVED) for names in told.metadata} == {None, alive.address}


SHOWN = {
    Observation.FULL: {"request headers", "request body", "response headers", "response body"},
    Observation.LEAN: {"request headers", "request body", "response headers"},
    Observation.NONE: {"request headers", "request body"},
}


@pytest.mark.parametrize("observation", Observation, ids=lambda observation: observation.value)
async def test_the_picker_is_shown_what_was_chosen(
    observation: Observation, envoy: Any, backend: Any, picker: Any, client: ClientSession
) -> None:
    server = await backend()
    told = await picker(server.address)
    proxy = await envoy(EnvoySettings(**ORIGINAL, observation=observation, picker_port=told.port))
    assert await post(client, proxy) == (200, server.address)
    assert set(told.streams[0]) == SHOWN[observation]


async def test_the_subset_hint_reaches_the_picker(envoy: Any, backend: Any, picker: Any, client: ClientSession) -> None:
    server = await backend()
    told = await picker(server.address)
    allowed = (server.address, "10.0.0.1:8000")
    proxy = await envoy(EnvoySettings(**ORIGINAL, subset_hint=allowed, picker_port=told.port))
    assert await post(client, proxy) == (200, server.address)
    assert told.metadata[0][SUBSET_NAMESPACE] == {SUBSET: list(allowed)}


VERIFICATION: dict[str, tuple[dict[str, str], int]] = {
    "none": ({}, 200),
    "by address": ({"ca_file": ""}, 200),
    "by a name that the certificate has not": ({"ca_file": "", "server_name": "other.example"}, 500),
}


@pytest.mark.parametrize(("tls", "status"), VERIFICATION.values(), ids=VERIFICATION)
async def test_the_picker_is_reached_over_tls(
    tls: dict[str, str],
    status: int,
    envoy: Any,
    backend: Any,
    picker: Any,
    certificate: Any,
    client: ClientSession,
) -> None:
    server = await backend()
    told = await picker(server.address, certificate)
    if "ca_file" in tls:
        tls = tls | {"ca_file": str(certificate.file)}
    proxy = await envoy(EnvoySettings(picker_tls=PickerTls(**tls), picker_port=told.port))
    assert (await post(client, proxy))[0] == status


async def test_a_picker_over_tls_is_found_healthy_when_failing_open(
    envoy: Any, backend: Any, picker: Any, certificate: Any, client: ClientSession
) -> None:
    picked, other = await backend(), await backend()
    told = await picker(picked.address, certificate)
    proxy = await envoy(
        EnvoySettings(
            routing=Routing.OVERRIDE_HOST,
            fail_open=True,
            endpoints=(picked.address, other.address),
            picker_port=told.port,
            picker_health_port=told.health_port,
        )
    )
    replies = await asyncio.gather(*(post(client, proxy) for _ in range(6)))
    assert set(replies) == {(200, picked.address)}

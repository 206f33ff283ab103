"""Every way in which a proxy can show bodies: the pick arrives, and bodies and trailers pass unchanged.

One Envoy with a route per pair of modes; the header `x-modes` chooses the route.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from epp.envoy import EnvoySettings
from epp.protocol import DESTINATION
from tests.envoy.conftest import Gateway
from tests.envoy.echo import EchoServer
from tests.envoy.test_bodies import CHAT, SMALL, prompt_of
from tests.envoy.world import Call, Document, exchange, running_envoy, running_picker, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

REQUEST_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"]
REPLY_MODES = REQUEST_MODES

BUFFER_BYTES = 1024 * 1024
"""Envoy's `per_connection_buffer_limit_bytes`, as generated."""

MEDIUM, BEYOND_BUFFER = prompt_of(300_000), prompt_of(3 * BUFFER_BYTES)


def choose_modes_by_header(config: Document) -> None:
    """A route for each pair of modes, and trailers over HTTP/1.1 on both sides."""
    resources = config["static_resources"]
    (connection_manager,) = resources["listeners"][0]["filter_chains"][0]["filters"]
    manager = connection_manager["typed_config"]
    manager["http_protocol_options"] = {"enable_trailers": True}
    pool = next(cluster for cluster in resources["clusters"] if cluster["name"] == "pool")
    (options,) = pool["typed_extension_protocol_options"].values()
    options["explicit_http_config"]["http_protocol_options"] = {"enable_trailers": True}
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    (default,) = routes
    for request in REQUEST_MODES:
        for reply in REPLY_MODES:
            route = copy.deepcopy(default)
            route["match"]["headers"] = [{"name": "x-modes", "string_match": {"exact": f"{request}/{reply}"}}]
            mode = {
                "request_body_mode": request,
                "response_body_mode": reply,
                "request_trailer_mode": "SEND",
                "response_trailer_mode": "SEND",
            }
            route["typed_per_filter_config"] = {
                "envoy.filters.http.ext_proc": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
                    "overrides": {"processing_mode": mode},
                }
            }
            routes.insert(0, route)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def every_mode() -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(2)]
        addresses = [echo.address for echo in echoes]
        rewrites = [{"models": ["mine"], "targets": [{"model": "theirs-and-longer"}]}]
        picker = await stack.enter_async_context(running_picker(addresses, {"epp": {"models": {"rewrites": rewrites}}}))
        settings = EnvoySettings(picker_port=picker.ports.extproc, picker_tls=None)
        envoy = await stack.enter_async_context(running_envoy(settings, choose_modes_by_header))
        yield Gateway(envoy.listener_address, picker, echoes)


@pytest.fixture(params=[f"{request}/{reply}" for request in REQUEST_MODES for reply in REPLY_MODES])
def modes(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("body", [b"", SMALL, MEDIUM], ids=["empty", "small", "medium"])
async def test_a_body_passes_in_every_mode(body: bytes, modes: str, every_mode: Gateway, client: Call) -> None:
    asked = [("x-modes", modes), (DESTINATION, "192.0.2.1:80")]
    path = CHAT if body else "/v2/upload"
    answer = await exchange(client, every_mode.address, "POST", path, body=body, headers=asked)
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(body).hexdigest())
    assert [value for name, value in answer.json["headers"] if name == DESTINATION] == [answer.json["server"]]
    await until(lambda: every_mode.picker.quiet)


async def test_trailers_pass_in_every_mode(modes: str, every_mode: Gateway, client: Call) -> None:
    answer = await exchange(
        client,
        every_mode.address,
        "POST",
        CHAT,
        headers=[("x-modes", modes)],
        pieces=[MEDIUM[:1000], MEDIUM[1000:]],
        trailers=[("x-checksum", "abc")],
    )
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(MEDIUM).hexdigest())
    assert answer.json["trailers"] == [["x-checksum", "abc"]]
    await until(lambda: every_mode.picker.quiet)


async def test_an_event_stream_passes_in_every_mode(modes: str, every_mode: Gateway, client: Call) -> None:
    events = [b"data: %d\n\n" % number for number in range(50)]
    for echo in every_mode.echoes:
        echo.events = type(echo.events)()
        for event in (*events, None):
            echo.events.put_nowait(event)
    answer = await exchange(
        client, every_mode.address, "POST", CHAT, body=SMALL, headers=[("x-modes", modes), ("x-echo", "events")]
    )
    assert (answer.status, answer.body) == (200, b"".join(events))
    await until(lambda: every_mode.picker.quiet)


@pytest.mark.parametrize("mode", ["BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "STREAMED", "NONE"])
async def test_a_body_beyond_the_proxys_buffer_passes(mode: str, every_mode: Gateway, client: Call) -> None:
    answer = await exchange(
        client, every_mode.address, "POST", CHAT, body=BEYOND_BUFFER, headers=[("x-modes", f"{mode}/NONE")]
    )
    assert (answer.status, answer.json["sha256"]) == (200, hashlib.sha256(BEYOND_BUFFER).hexdigest())


REWRITTEN = {"FULL_DUPLEX_STREAMED": True, "BUFFERED": True, "BUFFERED_PARTIAL": True, "STREAMED": False, "NONE": False}
"""Whether the picker holds the whole body before the pick, so that it can change it."""


async def test_a_models_name_is_changed_where_the_whole_body_is_seen(
    modes: str, every_mode: Gateway, client: Call
) -> None:
    body = SMALL.replace(b'"m"', b'"mine"')
    answer = await exchange(client, every_mode.address, "POST", CHAT, body=body, headers=[("x-modes", modes)])
    request_mode, _ = modes.split("/")
    expected = body.replace(b"mine", b"theirs-and-longer") if REWRITTEN[request_mode] else body
    assert (answer.status, answer.json["length"]) == (200, len(expected))
    assert answer.json["sha256"] == hashlib.sha256(expected).hexdigest()
    declared = [value for name, value in answer.json["headers"] if name == "content-length"]
    kept = request_mode in ("BUFFERED", "NONE")  # in other modes Envoy takes it away, and the body goes on in chunks
    assert declared == ([str(len(expected))] if kept else [])


@pytest.mark.parametrize("reply_mode", ["STREAMED", "BUFFERED", "FULL_DUPLEX_STREAMED"])
@pytest.mark.parametrize("request_mode", ["BUFFERED", "FULL_DUPLEX_STREAMED"])
async def test_the_clients_name_comes_back_in_a_stream(
    request_mode: str, reply_mode: str, every_mode: Gateway, client: Call
) -> None:
    """However the stream is cut."""
    sent = b"".join(
        b"data: " + json.dumps({"model": "theirs-and-longer", "text": f"theirs-and-longer {n}"}).encode() + b"\n\n"
        for n in range(20)
    )
    for echo in every_mode.echoes:
        echo.events = type(echo.events)()
        for at in range(0, len(sent), 13):
            echo.events.put_nowait(sent[at : at + 13])
        echo.events.put_nowait(None)
    headers = [("x-modes", f"{request_mode}/{reply_mode}"), ("x-echo", "events")]
    body = SMALL.replace(b'"m"', b'"mine"')
    answer = await exchange(client, every_mode.address, "POST", CHAT, body=body, headers=headers)
    assert answer.body == sent.replace(b'"model": "theirs-and-longer"', b'"model": "mine"')

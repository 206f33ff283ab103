"""Where requests may go, where they went, and what the picker makes of it: lists, subsets, served feedback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from epp.envoy import EnvoySettings, Routing
from epp.protocol import SUBSET, SUBSET_NAMESPACE
from tests.envoy.echo import EchoServer
from tests.envoy.http1 import Http1Call
from tests.envoy.preferences import HEADER as PREFER
from tests.envoy.test_bodies import CHAT, SMALL
from tests.envoy.world import Answer, Document, RunningPicker, exchange, running_envoy, running_picker, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

SELECTION, SERVED_HEADER = "test-epp-endpoint-selection", "x-conformance-test-served-endpoint"

CONFIG: Document = {
    "plugins": [
        {"type": "header-based-testing-filter"},
        {"type": "destination-endpoint-served-verifier"},
        {"type": "tests.envoy.preferences:PreferenceScorer", "name": "preference"},
        {"type": "max-score-picker", "parameters": {"maxNumOfEndpoints": 3}},
    ],
    "schedulingProfiles": [
        {
            "name": "default",
            "plugins": [
                {"pluginRef": "header-based-testing-filter"},
                {"pluginRef": "destination-endpoint-served-verifier"},
                {"pluginRef": "preference"},
                {"pluginRef": "max-score-picker"},
            ],
        }
    ],
    # Nobody probes or ejects: what is dead is found out by Envoy, each time.
    "epp": {"scraping": {"interval": "1h", "health": {"path": ""}}, "health": {"replyFailures": 1_000_000}},
}

SUBSET_AS_STRING = {
    "name": "envoy.filters.http.header_to_metadata",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
        "request_rules": [
            {
                "header": "x-subset",
                "on_header_present": {"metadata_namespace": SUBSET_NAMESPACE, "key": SUBSET, "type": "STRING"},
            }
        ],
    },
}


def take_subset_from_header(config: Document) -> None:
    (manager,) = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    manager["typed_config"]["http_filters"].insert(0, SUBSET_AS_STRING)


@dataclass(frozen=True)
class Site:
    """An Envoy that knows all endpoints and goes down the picker's list."""

    address: str
    one_destination: str
    """Another Envoy, with original-destination, in front of a picker that names one."""
    picker: RunningPicker
    echoes: list[EchoServer]
    dead: str

    @property
    def alive(self) -> list[str]:
        return [echo.address for echo in self.echoes]

    async def ask(self, **headers: str) -> Answer:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await exchange(Http1Call, self.address, "POST", CHAT, body=SMALL, headers=fields)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        refusing = stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        dead = f"127.0.0.1:{refusing.getsockname()[1]}"
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(3)]
        addresses = (dead, *(echo.address for echo in echoes))
        picker = await stack.enter_async_context(running_picker(addresses, CONFIG))
        single = {**CONFIG, "plugins": [*CONFIG["plugins"][:3], {"type": "max-score-picker"}]}
        picker_of_one = await stack.enter_async_context(running_picker(addresses, single))
        settings = EnvoySettings(
            routing=Routing.OVERRIDE_HOST,
            endpoints=addresses,
            max_destinations=3,
            picker_port=picker.ports.extproc,
            picker_tls=None,
        )
        envoy = await stack.enter_async_context(running_envoy(settings, take_subset_from_header))
        other_settings = EnvoySettings(picker_port=picker_of_one.ports.extproc, picker_tls=None)
        other = await stack.enter_async_context(running_envoy(other_settings))
        yield Site(envoy.listener_address, other.listener_address, picker, echoes, dead)


async def test_the_list_is_walked_in_its_order(site: Site) -> None:
    for first in site.alive:
        answer = await site.ask(x_prefer=f"{first},{site.dead}")
        assert (answer.json["server"], answer.head.get(SERVED_HEADER)) == (first, first)
    for second in site.alive:
        answer = await site.ask(x_prefer=f"{site.dead},{second}")
        assert (answer.status, answer.json["server"], answer.head.get(SERVED_HEADER)) == (200, second, second)


async def test_the_charge_moves_to_the_endpoint_that_serves(site: Site) -> None:
    serving = site.echoes[1]
    prefer = f"{site.dead},{serving.address}"
    async with await Http1Call.start(
        site.address, "POST", CHAT, [(PREFER, prefer), ("x-echo", "events")], length=len(SMALL)
    ) as call:
        await call.send(SMALL)
        assert (await call.head()).get(SERVED_HEADER) == serving.address
        assert site.picker.charges == {serving.address: 1}
        record = site.picker.router.decisions[-1]
        assert (record.decision.alternatives[:2], record.served) == ((site.dead, serving.address), serving.address)
        serving.events.put_nowait(None)
        assert await call.read() == b""
        await until(lambda: site.picker.quiet)


async def test_the_charge_waits_where_the_pick_was_until_a_reply_comes(site: Site) -> None:
    serving = site.echoes[0]
    async with await Http1Call.start(
        site.address, "POST", CHAT, [(PREFER, serving.address), ("x-echo", "hold")], length=len(SMALL)
    ) as call:
        await call.send(SMALL)
        await until(lambda: serving.waiting)
        assert site.picker.charges == {serving.address: 1}
        await call.abort()
        await until(lambda: site.picker.quiet)


@pytest.mark.parametrize("form", ["ip:port", "list", "with a foreign address", "ip"])
async def test_the_selection_header_of_the_conformance_suite_is_honoured(form: str, site: Site) -> None:
    one, two, three = site.alive
    header, allowed = {
        "ip:port": (two, {two}),
        "list": (f"{one},{three}", {one, three}),
        "with a foreign address": (f"192.0.2.9:3000,{two}", {two}),
        "ip": ("127.0.0.1", {one, two, three}),
    }[form]
    served = set()
    for prefer in site.alive:
        fields = [(SELECTION, header), (PREFER, prefer)]
        answer = await exchange(Http1Call, site.address, "POST", "/primary-gateway-test", body=SMALL, headers=fields)
        assert answer.status == 200
        assert [value for name, value in answer.json["headers"] if name == SELECTION] == [header], "it goes on"
        assert answer.head.get(SERVED_HEADER) == answer.json["server"]
        served.add(answer.json["server"])
    assert served == allowed


async def test_without_feedback_the_verifier_says_so(site: Site) -> None:
    fields = [(SELECTION, site.alive[1])]
    answer = await exchange(Http1Call, site.one_destination, "POST", CHAT, body=SMALL, headers=fields)
    assert (answer.status, answer.json["server"]) == (200, site.alive[1])
    assert answer.head.get(SERVED_HEADER).startswith("fail: missing")


async def test_a_subset_hint_as_a_string_is_kept_to(site: Site) -> None:
    one, _, three = site.alive
    servers = [(await site.ask(x_prefer=prefer, x_subset=f"{one},{three}")).json["server"] for prefer in site.alive]
    assert (servers[0], servers[2]) == (one, three)
    assert servers[1] in (one, three), "it prefers the one that it may not use"


async def test_a_subset_hint_that_nothing_meets_is_503(site: Site) -> None:
    answer = await site.ask(x_subset="192.0.2.1:80")
    assert (answer.status, answer.head.get("x-llm-d-request-dropped-reason")) == (503, "rejected-no-endpoints")


async def test_a_subset_hint_as_a_list_is_kept_to(site: Site) -> None:
    allowed = site.alive[2]
    settings = EnvoySettings(
        routing=Routing.OVERRIDE_HOST,
        endpoints=(site.dead, *site.alive),
        subset_hint=(allowed, "192.0.2.1:80"),
        picker_port=site.picker.ports.extproc,
        picker_tls=None,
    )
    async with running_envoy(settings) as envoy:
        for prefer in site.alive:
            answer = await exchange(
                Http1Call, envoy.listener_address, "POST", CHAT, body=SMALL, headers=[(PREFER, prefer)]
            )
            assert (answer.status, answer.json["server"]) == (200, allowed)


async def test_with_one_destination_the_client_is_told_that_it_is_down(site: Site) -> None:
    answer = await exchange(Http1Call, site.one_destination, "POST", CHAT, body=SMALL, headers=[(SELECTION, site.dead)])
    assert answer.status == 503

"""What is not served: each refusal is a status, a reason and an error that the client's library understands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from epp.envoy import EnvoySettings
from tests.envoy.conftest import Gateway
from tests.envoy.test_bodies import CHAT, SMALL, prompt_of
from tests.envoy.world import Call, exchange, running_envoy, running_picker, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

REASON = "x-llm-d-request-dropped-reason"

REFUSED = {
    "malformed JSON": (CHAT, b'{"model": "m", "messages": [', 400, "rejected-malformed"),
    "a body over the limit": (CHAT, prompt_of(33 * 1024 * 1024), 413, "rejected-body-too-large"),
}


@pytest.mark.parametrize(("path", "body", "status", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_request_that_cannot_be_served_is_refused(
    path: str, body: bytes, status: int, reason: str, gateway: Gateway, client: Call
) -> None:
    answer = await exchange(client, gateway.address, "POST", path, body=body)
    assert (answer.status, answer.head.get(REASON)) == (status, reason)
    assert answer.head.get("content-type") == "application/json"
    assert answer.json["error"]["message"]
    assert answer.json["error"]["code"] == reason
    await until(lambda: gateway.picker.quiet)


async def test_anthropic_clients_get_errors_of_their_own_form(gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "POST", "/v1/messages", body=b"{")
    assert (answer.status, answer.json["type"], answer.json["error"]["type"]) == (
        400,
        "error",
        "invalid_request_error",
    )


@pytest.mark.parametrize("body", [SMALL, b"", bytes(range(256))], ids=["JSON", "empty", "bytes"])
async def test_an_unknown_path_is_served(body: bytes, gateway: Gateway, client: Call) -> None:
    answer = await exchange(client, gateway.address, "POST", "/of/another/api?x=1", body=body)
    assert (answer.status, answer.json["path"], answer.json["length"]) == (200, "/of/another/api?x=1", len(body))


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("endpoints") / "endpoints.yaml"
    file.write_text("endpoints: []\n")
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def without_endpoints(empty_file: Path) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        picker = await stack.enter_async_context(running_picker((), endpoints_file=str(empty_file)))
        settings = EnvoySettings(picker_port=picker.ports.extproc, picker_tls=None)
        envoy = await stack.enter_async_context(running_envoy(settings))
        yield Gateway(envoy.listener_address, picker, [])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_empty_pool_is_503(method: str, without_endpoints: Gateway, client: Call) -> None:
    answer = await exchange(client, without_endpoints.address, method, CHAT, body=SMALL)
    assert (answer.status, answer.head.get(REASON)) == (503, "rejected-no-endpoints")
    assert int(answer.head.get("retry-after")) >= 1
    assert answer.json["error"]["code"] == "rejected-no-endpoints"

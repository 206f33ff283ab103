"""Pods that start, break and stop."""

import asyncio
import json
import os
import signal
from dataclasses import replace

import aiohttp
import aiohttp.web
import pytest

from epp.simulator import PodSettings, SimPods, SimServerSettings, run_sim_server, serve
from tests.simulator.captures import events
from tests.simulator.conftest import FAST, Client

LONG = "All work and no play. " * 40


async def test_pods_have_addresses_and_serve_apart(session: aiohttp.ClientSession) -> None:
    async with serve(SimServerSettings(pods=3, port=0, speeds=(FAST,))) as pods:
        assert len(set(pods.addresses)) == len(pods) == 3
        for pod in pods:
            await Client(session, pod).chat(max_tokens=2)
        assert [pod.metrics().counters.generation_tokens for pod in pods] == [2, 2, 2]
    assert not any(pod.running for pod in pods)


async def test_pods_with_one_seed_answer_alike(session: aiohttp.ClientSession) -> None:
    def said(reply: dict[str, list[dict[str, object]]]) -> object:
        return reply["choices"][0]["message"]

    async with serve([PodSettings(speed=FAST, seed=seed) for seed in (1, 1, 2)]) as pods:
        first, second, other = [said((await Client(session, pod).chat(max_tokens=9))[1]) for pod in pods]
    assert first == second != other


async def test_a_pod_may_report_no_cached_tokens(session: aiohttp.ClientSession) -> None:
    async with serve([PodSettings(speed=FAST, reports_cached_tokens=False)]) as pods:
        client = Client(session, pods[0])
        _, reply = await client.chat(max_tokens=2)
        assert reply["usage"]["prompt_tokens_details"] is None
        _, text = await client.chat(max_tokens=2, stream=True, stream_options={"include_usage": True})
        assert events(text)[-1]["usage"].keys() == {"prompt_tokens", "total_tokens", "completion_tokens"}
        _, message = await client.post("/v1/messages", messages=[{"role": "user", "content": "hi"}], max_tokens=2)
        assert message["usage"].keys() == {"input_tokens", "output_tokens"}


async def test_pods_can_share_a_port_on_several_addresses() -> None:
    async with serve([PodSettings()]) as one:
        port = int(one.addresses[0].rpartition(":")[2])
        async with serve([PodSettings(host="127.0.0.2", port=port)]) as other:
            assert other.addresses == (f"127.0.0.2:{port}",)


async def test_an_address_that_is_taken_stops_the_start_of_all() -> None:
    async with serve([PodSettings()]) as pods:
        port = int(pods.addresses[0].rpartition(":")[2])
        others = SimPods([PodSettings(), PodSettings(port=port)])
        with pytest.raises(OSError, match="address already in use"):
            await others.start()
        assert not others[0].running


async def test_a_killed_pod_cuts_its_streams_and_refuses_connections(client: Client) -> None:
    client.pod.slow_down(1e9)
    body = {"prompt": "hi", "stream": True}
    async with client.session.post(client.url("/v1/completions"), json=body) as response:
        await client.pod.kill()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert not client.pod.running
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get("/health")
    await client.pod.kill()


async def test_a_restarted_pod_is_cold_and_well_at_the_same_address(client: Client) -> None:
    address = client.pod.address
    client.pod.set_health(healthy=False)
    await client.post("/v1/load_lora_adapter", lora_name="c", lora_path="/c")
    await client.chat(LONG)
    await client.pod.restart()
    assert client.pod.address == address
    assert (await client.get("/health"))[0] == 200
    assert (await client.chat(model="c"))[0] == 404
    _, reply = await client.chat(LONG)
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


async def test_a_pod_that_is_stopped_ends_its_replies_with_an_error(client: Client) -> None:
    client.pod.slow_down(1e9)
    whole = asyncio.create_task(client.chat())
    stream = asyncio.create_task(client.chat(stream=True))
    await client.wait_for_requests(2)
    await client.pod.stop()
    status, reply = await whole
    assert (status, reply["error"]["type"]) == (500, "Internal Server Error")
    status, text = await stream
    assert status == 200
    assert [*events(text)] == [reply]
    assert text.endswith("data: [DONE]\n\n")


async def test_a_dead_engine_shows_in_health_and_calls_but_not_in_metrics(client: Client) -> None:
    await client.chat(max_tokens=4)
    client.pod.slow_down(1e9)
    stream = asyncio.create_task(client.chat(stream=True))
    await client.wait_for_requests(1)
    before = await client.get("/metrics")
    client.pod.fail_engine()
    assert "EngineCore encountered an issue" in (await stream)[1]
    assert (await client.get("/health"))[0] == 503
    assert (await client.chat())[0] == 500
    assert await client.get("/metrics") == before
    await client.pod.restart()
    assert (await client.chat())[0] == 200


async def test_health_and_errors_can_be_set(client: Client) -> None:
    client.pod.set_health(healthy=False)
    assert (await client.get("/health"))[0] == 503
    assert (await client.chat())[0] == 200
    client.pod.answer_errors(errors=True)
    client.pod.set_health(healthy=True)
    assert (await client.get("/health"))[0] == 200
    assert [(await client.chat())[0], (await client.post("/v1/messages"))[0]] == [500, 500]
    client.pod.answer_errors(errors=False)
    assert (await client.chat())[0] == 200


async def test_metrics_can_be_frozen(client: Client) -> None:
    before = await client.get("/metrics")
    client.pod.freeze_metrics(frozen=True)
    await client.chat()
    assert await client.get("/metrics") == before
    client.pod.freeze_metrics(frozen=False)
    assert await client.get("/metrics") != before


async def test_a_pod_can_be_slowed_down_and_recover(client: Client) -> None:
    client.pod.slow_down(1e9)
    slow = asyncio.create_task(client.chat())
    await client.wait_for_requests(1)
    slow.cancel()
    await client.wait_for_requests(0)
    client.pod.slow_down(1)
    assert (await client.chat())[0] == 200


async def test_a_client_that_is_gone_when_a_token_comes_is_no_fault(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # aiohttp cancels handlers of clients that went, one turn of the event loop later: a write may come first.
    write = aiohttp.web.StreamResponse.write

    async def reset_and_write(response: aiohttp.web.StreamResponse, data: bytes) -> None:
        transport = response._req and response._req.transport
        assert transport is not None
        transport.abort()
        await write(response, data)

    monkeypatch.setattr(aiohttp.web.StreamResponse, "write", reset_and_write)
    with pytest.raises(aiohttp.ClientError):
        await client.chat(stream=True)
    await client.wait_for_requests(0)
    assert caplog.text == ""


async def test_a_sleeping_pod_is_healthy_and_does_not_answer(client: Client) -> None:
    client.pod.sleep()
    waiting = asyncio.create_task(client.chat())
    await client.wait_for_requests(1)
    assert (await client.get("/health"))[0] == 200
    _, page = await client.get("/metrics")
    assert 'sleep_state="awake"} 0.0' in page
    assert 'vllm:num_requests_waiting{engine="0",model_name="base"} 0.0' in page
    assert not waiting.done()
    client.pod.wake()
    assert (await waiting)[0] == 200


async def test_many_clients_are_served_at_once(session: aiohttp.ClientSession) -> None:
    async with serve(SimServerSettings(pods=2, port=0, speeds=(FAST,))) as pods:
        clients = [Client(session, pod) for pod in pods]
        replies = await asyncio.gather(
            *(clients[number % 2].chat(f"question {number}", max_tokens=20, stream=True) for number in range(100))
        )
        assert all(len(events(text)) == 21 for _, text in replies)
        assert [pod.metrics().counters.generation_tokens for pod in pods] == [1000, 1000]
        assert [pod.metrics().used_blocks for pod in pods] == [0, 0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_runs_until_it_is_told_to_stop(number: int) -> None:
    announced: list[str] = []

    def announce(addresses: object) -> None:
        announced.append(json.dumps(addresses))
        os.kill(os.getpid(), number)

    run_sim_server(replace(SimServerSettings(), pods=2, port=0), announce)
    assert len(json.loads(announced[0])) == 2

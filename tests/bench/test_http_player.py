"""The client on real sockets: against simulated pods, and against servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import StringIO

import msgspec
import numpy as np
import pytest
from aiohttp import web
from rich.console import Console

from bench.http.bare import EVENTS, BareServer
from bench.http.player import Player, Target
from bench.http.playing import Plan, Played, play
from bench.http.results import CallRecord, Labels
from bench.http.schedule import Schedule
from epp.reports.runs import Failure
from epp.simulator import EngineSettings, PodSettings, serve
from epp.workloads.types import Api, Call, Role, Segment, Workload

PATIENCE_S = 60.0
FAST = 1000.0

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def call(
    at_s: float = 0.0, *, after: int | None = None, api: Api = Api.CHAT, stream: bool = True, number: int = 0
) -> Call:
    prompt = (Segment(1, 64, Role.SYSTEM), Segment(100 + number, 32))
    return Call(at_s, prompt, Segment(200 + number, 0 if api is Api.EMBEDDINGS else 5), after, api=api, stream=stream)


def workload(*calls: Call) -> Workload:
    return Workload("w", calls)


async def played(url: str, wanted: Workload, *, clients: int | None = None, timeout_s: float = PATIENCE_S) -> Played:
    plan = Plan(wanted, Labels("p"), clients)
    async with asyncio.timeout(PATIENCE_S):
        return await play(plan, Target(url, "sim-model", timeout_s=timeout_s), Console(file=StringIO()))


async def until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - about what the client notes, which sets no event
            await asyncio.sleep(0.001)


@asynccontextmanager
async def raw_server(respond: Respond) -> AsyncIterator[str]:
    """A server that writes whatever it likes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await respond(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS])
async def test_what_servers_report_is_in_the_run(api: Api, stream: bool) -> None:
    async with serve([PodSettings(speed=FAST)]) as pods:
        result = await played(
            f"http://{pods[0].address}",
            workload(call(api=api, stream=stream), call(after=0, api=api, stream=stream)),
        )
    calls = result.run.calls
    assert calls.ok.all(), [record.reply for record in result.records]
    assert [pod.name for pod in result.run.pods] == [pods[0].address]
    assert calls.pod.tolist() == [0, 0]
    assert calls.output_tokens.tolist() == [5, 5]
    assert (calls.prompt_tokens >= 96).all()
    assert calls.cached_tokens[0] == 0
    assert calls.cached_tokens[1] >= 80
    assert (calls.ttft_s > 0).all()
    assert (calls.e2e_s >= calls.ttft_s).all()
    assert result.run.duration_s >= calls.e2e_s[0]


async def test_embeddings() -> None:
    async with serve([PodSettings(speed=FAST)]) as pods:
        result = await played(f"http://{pods[0].address}", workload(call(api=Api.EMBEDDINGS)))
    assert result.run.calls.ok.all()
    assert result.run.calls.output_tokens.tolist() == [0]


async def test_a_session_waits_for_its_answer_and_its_pause() -> None:
    async with serve([PodSettings(speed=FAST)]) as pods:
        wanted = workload(call(number=0), call(0.05, after=0, number=1), call(number=2), call(0.02, after=1, number=3))
        result = await played(f"http://{pods[0].address}", wanted)
    by_index = {record.index: record for record in result.records}
    for index, after in ((1, 0), (3, 1)):
        pause_s = by_index[index].due_s - by_index[after].reply.end_s
        assert pause_s >= wanted.calls[index].at_s
        assert by_index[index].sent_s >= by_index[index].due_s
    assert result.run.calls.ok.all()


async def test_an_open_loop_is_due_when_the_workload_says_so() -> None:
    times = [0.0, 0.01, 0.01, 0.05, 0.2]
    async with serve([PodSettings(speed=FAST)]) as pods:
        result = await played(f"http://{pods[0].address}", workload(*(call(at_s) for at_s in times)))
    assert [record.due_s for record in result.records] == times
    assert all(record.sent_s >= record.due_s for record in result.records)


async def test_a_closed_loop_never_has_more_calls_under_way_than_clients() -> None:
    under_way, most = 0, 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await request.read()
        await asyncio.sleep(0)
        under_way -= 1
        return web.json_response({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        result = await played(f"http://{host}:{port}", workload(*(call(stream=False) for _ in range(30))), clients=3)
    finally:
        await runner.cleanup()
    assert result.run.calls.ok.all()
    assert most <= 3


async def test_a_busy_server() -> None:
    engine = EngineSettings(max_num_seqs=1, max_queued_requests=1)
    async with serve([PodSettings(engine=engine, speed=0.001)]) as pods:
        plan = Plan(workload(*(call(number=number) for number in range(6))), Labels("p"))
        async with Player(
            Target(f"http://{pods[0].address}", "sim-model"), plan.workload, Schedule(plan.workload)
        ) as player:
            playing = asyncio.create_task(player.play())
            await until(lambda: player.ended >= 4)
            player.stop()
            await playing
    failures = [record.reply.failure for record in player.records]
    assert failures.count(Failure.BUSY) >= 4
    assert set(failures) == {Failure.BUSY, Failure.UNFINISHED}


async def nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Closes the connection without a word."""


def writes(*pieces: bytes) -> Respond:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return respond


async def hangs(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    while await reader.read(65536):
        pass


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nX-LLM-D-Request-Dropped-Reason: rejected-no-endpoints\r\n"
    b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)

MISBEHAVIOUR: dict[str, tuple[Respond, Failure]] = {
    "closes without a word": (nothing, Failure.LOST),
    "breaks off within a stream": (writes(STREAM, CHUNK), Failure.LOST),
    "ends a stream without [DONE]": (writes(STREAM, CHUNK, b"0\r\n\r\n"), Failure.BROKEN),
    "sends less than it promised": (writes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"), Failure.LOST),
    "does not speak HTTP": (writes(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Failure.BROKEN),
    "sends no JSON": (writes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{]"), Failure.BROKEN),
    "refuses": (writes(REFUSAL), Failure.REFUSED),
    "has no such path": (writes(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), Failure.STATUS),
}


@pytest.mark.parametrize(("respond", "failure"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
async def test_how_a_server_fails(respond: Respond, failure: Failure) -> None:
    async with raw_server(respond) as url:
        result = await played(url, workload(call()))
    assert [record.reply.failure for record in result.records] == [failure]
    assert result.records[0].reply.detail
    assert result.run.calls.failure.tolist() == [failure]


async def test_a_server_that_hangs_is_given_up() -> None:
    async with raw_server(hangs) as url:
        result = await played(url, workload(call()), timeout_s=0.05)
    assert [record.reply.failure for record in result.records] == [Failure.TIMEOUT]


async def test_nobody_listens() -> None:
    async with raw_server(nothing) as url:
        pass
    result = await played(url, workload(call(), call(after=0)))
    assert [record.reply.failure for record in result.records] == [Failure.CONNECT, Failure.CONNECT]


async def test_a_run_that_is_stopped_reports_what_was_due() -> None:
    async with raw_server(hangs) as url:
        wanted = workload(call(), call(), call(3600.0))
        async with Player(Target(url, "m"), wanted, Schedule(wanted)) as player:
            playing = asyncio.create_task(player.play())
            await until(lambda: [record for record in player.records if np.isfinite(record.sent_s)][1:])
            player.stop()
            await playing
    assert [(record.index, record.reply.failure) for record in player.records] == [
        (0, Failure.UNFINISHED),
        (1, Failure.UNFINISHED),
    ]


async def test_predictions_of_the_picker_are_joined_by_request() -> None:
    """The debug page stands on the same server; it tells of every request that it has seen."""
    seen: list[str] = []

    async def complete(request: web.Request) -> web.Response:
        seen.append(request.headers["x-request-id"])
        return web.json_response({"choices": [], "usage": {"prompt_tokens": 96, "completion_tokens": 5}})

    async def decisions(_request: web.Request) -> web.Response:
        predicted = {"time_to_first_token_s": 0.25, "cached_tokens": 48}
        page = {"decisions": [{"id": "d", "request_id": one, "predicted": predicted} for one in seen]}
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/debug/decisions", decisions)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0]
        url = f"http://{host}:{port}"
        plan = Plan(
            workload(call(stream=False), call(stream=False)), Labels("p"), decisions_url=f"{url}/debug/decisions"
        )
        result = await play(plan, Target(url, "m"), Console(file=StringIO()))
    finally:
        await runner.cleanup()
    assert result.run.calls.predicted_cached_tokens.tolist() == [48.0, 48.0]
    assert result.run.calls.predicted_ttft_s.tolist() == [0.25, 0.25]


async def test_a_picker_that_tells_no_decisions_is_a_problem_not_a_failure() -> None:
    async with serve([PodSettings(speed=FAST)]) as pods:
        url = f"http://{pods[0].address}"
        plan = Plan(workload(call()), Labels("p"), decisions_url=f"{url}/debug/decisions")
        result = await play(plan, Target(url, "sim-model"), Console(file=StringIO()))
    assert result.run.calls.ok.all()
    assert np.isnan(result.run.calls.predicted_ttft_s).all()
    assert any("404" in problem for problem in result.problems)


async def test_the_server_that_costs_nothing_answers_in_full() -> None:
    server = await asyncio.get_running_loop().create_server(BareServer, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await played(url, workload(*(call(number=number) for number in range(5))), clients=2)
    finally:
        server.close()
    assert result.run.calls.ok.all(), [record.reply for record in result.records]
    assert result.run.calls.output_tokens.tolist() == [EVENTS] * 5
    assert [len(record.reply.gaps_s) for record in result.records] == [EVENTS - 1] * 5


def test_a_record_that_was_never_answered_says_so() -> None:
    assert CallRecord(0, 1.0).reply.failure is Failure.UNFINISHED

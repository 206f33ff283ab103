"""The whole generator against real servers on loopback: the one that does nothing, and ours."""

from __future__ import annotations

import os
import random
import sys
import time

import aiohttp
import pytest

from bench.extproc.comparison import Load, Plan, compare
from bench.extproc.exchanges import Reply, exchange
from bench.extproc.memory import index_size
from bench.extproc.pages import PAGE_BYTES, metrics_page
from bench.extproc.player import connected, play_bursts, play_paced
from bench.extproc.runs import Fate
from bench.extproc.servers import BenchError, bare, other, ours, pages
from bench.extproc.usage import cpu_s, rss_bytes

LOADS = [
    Load(exchange(200, 0, Reply.LEAN)),
    Load(exchange(400_000, 0, Reply.LEAN, frame_bytes=65_536), 65_536),
    Load(exchange(4_096, 100)),
    Load(exchange(4_096, 2), per_s=200.0),
]


async def test_all_servers_answer_all_loads_in_full() -> None:
    async with pages(3) as endpoints, bare() as nothing, ours(endpoints) as server:
        plan = Plan(rounds=2, seconds=0.05, paced_seconds=0.1)
        found = await compare([nothing, server], LOADS, plan, random.Random(1))
    assert found.servers == ("bare", "epp, 3 endpoints")
    assert [load for load, _ in found.costs] == LOADS
    assert all(cost.cpu_us > 0 and cost.pick_p99_ms > 0 for _, costs in found.costs for cost in costs)


async def test_a_burst_ends_when_so_many_were_played() -> None:
    async with bare() as nothing, connected(nothing.port, 2) as wires:
        tally = await play_bursts(wires, exchange(4_096, 1), outstanding=40, total=100)
        assert (tally.begun, tally.fates[Fate.DONE], len(tally.pick_s)) == (100, 100, 100)
        tally = await play_bursts(wires, exchange(4_096, 1), outstanding=40, total=10)
        assert (tally.begun, tally.fates[Fate.DONE]) == (10, 10)


async def test_arrivals_are_those_of_the_seed() -> None:
    async with bare() as nothing, connected(nothing.port, 1) as wires:
        played = exchange(200, 0, Reply.LEAN)
        both = [await play_paced(wires, played, per_s=300.0, seconds=0.2, rng=random.Random(seed)) for seed in (5, 5)]
    assert both[0].sound
    assert both[0].begun == both[1].begun > 30


async def test_a_picker_that_ends_is_an_error() -> None:
    with pytest.raises(BenchError, match="ended with status 3 instead of serving"):
        async with other(f"{sys.executable} -c 'raise SystemExit(3)' {{port}}"):
            pass


async def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchError, match="no-such-picker: No such file"):
        async with other("no-such-picker {port}"):
            pass


async def test_any_picker_can_be_measured_by_its_command() -> None:
    command = f"{sys.executable} -m bench.extproc.bare {{port}}"
    async with other(command) as server, connected(server.port, 1) as wires:
        assert (await play_bursts(wires, exchange(200, 1), outstanding=2, total=4)).sound


async def test_pages_of_model_servers() -> None:
    async with pages(2) as endpoints, aiohttp.ClientSession() as session:
        assert len(set(endpoints)) == 2
        for endpoint in endpoints:
            for path, text in (("metrics", "vllm:num_requests_running"), ("health", ""), ("v1/models", "Llama")):
                async with session.get(f"http://{endpoint}/{path}") as answer:
                    assert answer.status == 200
                    assert text in await answer.text()


def test_the_page_is_as_long_as_a_real_one() -> None:
    page = metrics_page(PAGE_BYTES)
    assert PAGE_BYTES <= len(page) < PAGE_BYTES * 1.1
    assert b'vllm:e2e_request_latency_seconds_bucket{engine="0",model_name="tiny",le="1.0"} 0.0\n' in page


def test_the_index_holds_as_many_entries_as_were_asked_for() -> None:
    assert index_size(10_000, endpoints=10).entries == 10_000


def test_usage_of_a_process() -> None:
    before, began = cpu_s(os.getpid()), time.perf_counter()
    while time.perf_counter() - began < 0.05:
        pass
    assert 0.0 < cpu_s(os.getpid()) - before < 60.0
    assert rss_bytes(os.getpid()) > 10_000_000

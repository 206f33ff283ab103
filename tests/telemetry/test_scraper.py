"""Asking servers on loopback again and again. Intervals are short here, and nothing depends on how short."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epp.endpoints import EndpointPool, PoolSettings
from epp.endpoints.types import EndpointSpec, ModelCard, Scrape
from epp.telemetry.endpoint_sink import EndpointSink
from epp.telemetry.schedule import Kind
from epp.telemetry.scrape_settings import ScrapeSettings
from epp.telemetry.scraper import Scraper

PAGE = b'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_waiting{engine="0"} 1.0\n'
MODELS = b'{"object": "list", "data": [{"id": "tiny"}, {"id": "a", "parent": "tiny"}]}'
CARDS = (ModelCard("tiny"), ModelCard("a", "tiny"))


class Heard:
    """A sink that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self._news = asyncio.Event()

    def scraped(self, address: str, scrape: Scrape, asked_at: float, now: float) -> None:
        assert asked_at <= now
        self._take("page", address, scrape)

    def scrape_failed(self, address: str, *, unreadable: bool = False, now: float) -> None:
        self._take("unreadable" if unreadable else "no page", address)

    def health_seen(self, address: str, *, healthy: bool, now: float) -> None:
        self._take("healthy" if healthy else "ill", address)

    def models_seen(self, address: str, cards: tuple[ModelCard, ...] | None, now: float) -> None:
        self._take("models", address, cards)

    def of(self, what: str, address: str | None = None) -> list[tuple[Any, ...]]:
        return [said for said in self.said if said[0] == what and address in (None, said[1])]

    async def wait_for(self, what: str, address: str | None = None, times: int = 1) -> tuple[Any, ...]:
        """Waits until it was said so many times from now on; returns the last."""
        already = len(self.of(what, address))
        async with asyncio.timeout(20):
            while len(found := self.of(what, address)) < already + times:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    def _take(self, *said: Any) -> None:
        self.said.append(said)
        self._news.set()


def settings_of(**changes: Any) -> ScrapeSettings:
    short = {"interval_s": 0.05, "health_interval_s": 0.05, "models_interval_s": 3600.0, "max_backoff_s": 0.2}
    return ScrapeSettings(**{**short, "timeout_s": 5.0, **changes})


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def scraping(heard: Heard) -> Callable[..., contextlib.AbstractAsyncContextManager[Scraper]]:
    """Runs a scraper for the length of a `with`."""

    @contextlib.asynccontextmanager
    async def run(*specs: EndpointSpec | Any, **changes: Any) -> AsyncIterator[Scraper]:
        before = asyncio.all_tasks()
        scraper = Scraper(heard, settings_of(**changes), time.monotonic, np.random.default_rng(1))
        scraper.set_endpoints(
            [spec if isinstance(spec, EndpointSpec) else EndpointSpec(spec.address) for spec in specs]
        )
        task = asyncio.create_task(scraper.run())
        try:
            yield scraper
            assert not task.done(), task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert {other for other in asyncio.all_tasks() - before if "_serve" not in repr(other)} == set()

    return run


class NoCaches:
    """Hears what becomes of caches, and does nothing about it."""

    def cache_lost(self, row: int) -> None: ...

    def cache_size_seen(self, row: int, tokens: float | None) -> None: ...


@pytest.fixture
def scraping_pool() -> Callable[..., contextlib.AbstractAsyncContextManager[EndpointPool]]:
    """Scrapes into a pool for the length of a `with`."""

    @contextlib.asynccontextmanager
    async def run(address: str) -> AsyncIterator[EndpointPool]:
        pool = EndpointPool(PoolSettings(), NoCaches())
        pool.replace([EndpointSpec(address)], time.monotonic())
        scraper = Scraper(pool, settings_of(), time.monotonic, np.random.default_rng(1))
        scraper.set_endpoints([EndpointSpec(address)])
        task = asyncio.create_task(scraper.run())
        try:
            yield pool
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture
async def vllm(server):
    """A server that answers as vLLM does."""
    server.replies = {
        "/metrics": server.reply(PAGE, content_type="text/plain; version=1.0.0"),
        "/health": server.reply(),
        "/v1/models": server.reply(MODELS),
    }
    return server


async def test_a_server_is_asked_for_everything_at_once_and_then_again(vllm, heard: Heard, scraping) -> None:
    async with scraping(vllm):
        assert await heard.wait_for("page", times=3) == ("page", vllm.address, Scrape(running=3, waiting=1))
        await heard.wait_for("healthy", times=2)
    assert heard.of("models") == [("models", vllm.address, CARDS)]
    assert heard.of("no page") == heard.of("ill") == []
    assert vllm.connections <= 3


async def test_metrics_may_be_elsewhere(vllm, heard: Heard, start_server, scraping) -> None:
    elsewhere = await start_server()
    elsewhere.replies["/stats"] = elsewhere.reply(b"vllm:num_requests_running 9\n")
    spec = EndpointSpec(vllm.address, metrics_address=elsewhere.address)
    async with scraping(spec, metrics_path="/stats"):
        assert (await heard.wait_for("page"))[1:] == (vllm.address, Scrape(running=9))
        await heard.wait_for("healthy")
    assert set(elsewhere.paths()) == {"/stats"}
    assert "/stats" not in vllm.paths()


async def test_one_port_of_metrics_may_serve_all(vllm, heard: Heard, start_server, scraping) -> None:
    elsewhere = await start_server()
    elsewhere.replies["/metrics"] = elsewhere.reply(b"vllm:num_requests_running 9\n")
    async with scraping(vllm, metrics_port=int(elsewhere.address.rpartition(":")[2])):
        assert (await heard.wait_for("page"))[2] == Scrape(running=9)


async def test_a_metrics_address_of_no_use_is_told_and_left_alone(vllm, heard: Heard, scraping, caplog) -> None:
    async with scraping(EndpointSpec(vllm.address, metrics_address="nowhere:port")):
        await heard.wait_for("page")
    assert "metrics address is of no use" in caplog.text


async def test_an_engine_label_chooses_the_names(vllm, heard: Heard, scraping) -> None:
    vllm.replies["/metrics"] = vllm.reply(b"sglang:num_running_reqs 7\nvllm:num_requests_running 1\n")
    async with scraping(EndpointSpec(vllm.address, labels={"llm-d.ai/engine-type": "sglang"})):
        assert (await heard.wait_for("page"))[2] == Scrape(running=7)


async def test_an_unknown_engine_is_told_once_and_the_default_taken(vllm, heard: Heard, scraping, caplog) -> None:
    spec = EndpointSpec(vllm.address, labels={"inference.networking.k8s.io/engine-type": "new"})
    async with scraping(spec) as scraper:
        await heard.wait_for("page")
        scraper.set_endpoints([spec])
    assert sum("engine type 'new'" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("status", ["500 Oops", "404 Not Found", "307 Away", "201 Created"])
async def test_no_page_is_a_failure(vllm, heard: Heard, scraping, status: str) -> None:
    vllm.replies["/metrics"] = vllm.reply(PAGE, status)
    async with scraping(vllm) as scraper:
        await heard.wait_for("no page", times=2)
        statistics = scraper.statistics()[vllm.address].probes
    assert heard.of("page") == []
    assert statistics[Kind.METRICS].failures >= 2
    assert statistics[Kind.METRICS].last_error == f"HTTP {status[:3]}"


async def test_a_page_beyond_the_limit_says_nothing_and_the_server_is_there(vllm, heard, scraping, caplog) -> None:
    async with scraping(vllm, max_page_bytes=10):
        await heard.wait_for("unreadable", times=3)
    assert not heard.of("page")
    assert not heard.of("no page")
    assert sum("metrics failed 3 times: the answer has more than 10 bytes" in text for text in caplog.messages) == 1


OTHER_PAGES = {
    "empty": b"",
    "HTML": b"<html><body>It works!</body></html>",
    "statistics of iterations": b'[{"gpuMemUsage": 1, "numActiveRequests": 3}]',
    "another engine": b"sglang:num_running_reqs 7\nprocess_start_time_seconds 1\n",
    "its own metrics without those of load": b"vllm:prompt_tokens_total 7\n",
}


@pytest.mark.parametrize("page", OTHER_PAGES.values(), ids=OTHER_PAGES)
async def test_a_page_without_any_known_metric_is_a_failure_that_leaves_the_server_reachable(
    vllm, heard: Heard, scraping, caplog, page: bytes
) -> None:
    vllm.replies["/metrics"] = vllm.reply(page)
    async with scraping(vllm):
        await heard.wait_for("unreadable", times=3)
        await heard.wait_for("healthy")
    assert not heard.of("page")
    assert not heard.of("no page")
    assert sum("no known metric: is the engine type vllm right?" in text for text in caplog.messages) == 1


async def test_an_unreadable_page_does_not_make_an_endpoint_unusable(vllm, scraping_pool) -> None:
    vllm.replies["/metrics"] = vllm.reply(b"<html>")
    async with scraping_pool(vllm.address) as pool:
        await vllm.wait_asked("/metrics", 5)
        assert bool(pool.table.columns.usable[pool.table.row_of(vllm.address)])


async def test_each_engine_has_its_own_path_unless_one_is_set(vllm, heard: Heard, scraping) -> None:
    vllm.replies["/prometheus/metrics"] = vllm.replies["/stats"] = vllm.reply(b"trtllm_num_requests_running 2\n")
    spec = EndpointSpec(vllm.address, labels={"llm-d.ai/engine-type": "trtllm-serve"})
    for settings, path in (({}, "/prometheus/metrics"), ({"metrics_path": "/stats"}, "/stats")):
        async with scraping(spec, **settings):
            assert (await heard.wait_for("page"))[2] == Scrape(running=2)
        assert path in vllm.paths()
    assert "/metrics" not in vllm.paths()


HEALTH = {
    "200 OK": "healthy",
    "204 Fine": "healthy",
    "302 Away": "ill",
    "404 None": "healthy",
    "405 No": "healthy",
    "503 Dead": "ill",
    "500 Oops": "ill",
}


@pytest.mark.parametrize(("status", "said"), HEALTH.items())
async def test_health(vllm, heard: Heard, scraping, status: str, said: str) -> None:
    vllm.replies["/health"] = vllm.reply(status=status)
    async with scraping(vllm):
        await heard.wait_for(said, times=2)
    assert not heard.of("ill" if said == "healthy" else "healthy")


async def test_an_engine_that_is_dead_is_ill_though_its_metrics_go_on(vllm, heard: Heard, scraping) -> None:
    async with scraping(vllm):
        await heard.wait_for("healthy")
        vllm.replies["/health"] = vllm.reply(status="503 Service Unavailable")
        await heard.wait_for("ill")
        await heard.wait_for("page")


async def test_a_server_that_hangs_is_ill_and_gives_no_page(vllm, heard: Heard, scraping) -> None:
    vllm.replies = dict.fromkeys(vllm.replies)
    async with scraping(vllm, timeout_s=0.1):
        await heard.wait_for("ill")
        await heard.wait_for("no page")


LISTS = {
    "a list": (b'{"data": []}', "200 OK", ()),
    "there is none": (b"", "404 Not Found", None),
    "not for us": (b'{"error": "Unauthorized"}', "401 Unauthorized", None),
}


@pytest.mark.parametrize(("body", "status", "cards"), LISTS.values(), ids=LISTS)
async def test_models(vllm, heard: Heard, scraping, caplog, body: bytes, status: str, cards: object) -> None:
    vllm.replies["/v1/models"] = vllm.reply(body, status)
    async with scraping(vllm, models_interval_s=0.05):
        assert (await heard.wait_for("models", times=2))[2] == cards
    assert sum("set the servers' token" in message for message in caplog.messages) == status.startswith("401")


@pytest.mark.parametrize("answer", [(b"", "500 Oops"), (b"<html>", "200 OK"), (b"", "429 Busy")])
async def test_a_list_of_models_that_fails_says_nothing_and_is_asked_for_again(
    vllm, heard: Heard, scraping, answer: tuple[bytes, str]
) -> None:
    vllm.replies["/v1/models"] = vllm.reply(*answer)
    async with scraping(vllm):
        await vllm.wait_asked("/v1/models", 3)
        assert heard.of("models") == []
        vllm.replies["/v1/models"] = vllm.reply(MODELS)
        await heard.wait_for("models")


async def test_a_restart_makes_models_due(vllm, heard: Heard, scraping) -> None:
    vllm.replies["/metrics"] = vllm.reply(PAGE + b"process_start_time_seconds 1.7e9\n")
    async with scraping(vllm):
        await heard.wait_for("page", times=3)
        assert len(heard.of("models")) == 1
        vllm.replies["/metrics"] = vllm.reply(PAGE + b"process_start_time_seconds 1.8e9\n")
        await heard.wait_for("models")


async def test_a_server_that_comes_back_is_seen_at_once(vllm, heard: Heard, scraping, caplog) -> None:
    caplog.set_level("INFO")
    port = int(vllm.address.rpartition(":")[2])
    async with scraping(vllm, max_backoff_s=3600.0) as scraper:
        await heard.wait_for("page")
        await vllm.stop()
        await heard.wait_for("no page", times=7)  # backed off to seconds by now
        await vllm.start(port=port)
        await heard.wait_for("healthy")
        await heard.wait_for("page")
        await heard.wait_for("models")
        assert scraper.statistics()[vllm.address].probes[Kind.METRICS].failures == 0
    assert sum("metrics failed 3 times: " in message for message in caplog.messages) == 1
    assert sum("metrics answered again" in message for message in caplog.messages) == 1


async def test_nothing_is_told_of_an_endpoint_that_left(vllm, heard: Heard, start_server, scraping) -> None:
    other = await start_server()
    other.replies = dict(vllm.replies)
    vllm.replies["/health"] = None  # under way when it leaves
    async with scraping(vllm, other) as scraper:
        await heard.wait_for("page", vllm.address)
        await vllm.wait_asked("/health")
        scraper.set_endpoints([EndpointSpec(other.address)])
        heard.said.clear()
        await heard.wait_for("page", other.address, times=3)
        assert {said[1] for said in heard.said} == {other.address}
        assert set(scraper.statistics()) == {other.address}


async def test_endpoints_come_and_go_and_come_back(vllm, heard: Heard, scraping) -> None:
    async with scraping() as scraper:
        for _ in range(3):
            scraper.set_endpoints([EndpointSpec(vllm.address)])
            await heard.wait_for("models", vllm.address)
            scraper.set_endpoints([])


async def test_an_endpoint_whose_labels_change_is_asked_on(vllm, heard: Heard, scraping) -> None:
    async with scraping(vllm) as scraper:
        await heard.wait_for("page")
        scraper.set_endpoints([EndpointSpec(vllm.address, name="new", labels={"role": "decode"})])
        await heard.wait_for("page", times=3)
        assert scraper.statistics()[vllm.address].spec.name == "new"
    assert len(heard.of("models")) == 1


async def test_no_more_requests_than_the_limit_are_under_way(vllm, heard: Heard, start_server, scraping) -> None:
    servers = [vllm, await start_server(), await start_server()]
    for server in servers:
        server.replies = dict(vllm.replies)
    async with scraping(*servers, max_requests=1) as scraper:
        for server in servers:
            await heard.wait_for("page", server.address)
            assert "1 requests under way" in repr(scraper) or "0 requests under way" in repr(scraper)


async def test_servers_that_hang_do_not_delay_those_that_answer(vllm, heard: Heard, start_server, scraping) -> None:
    hanging = await start_server()
    hanging.replies = {"/metrics": None}
    specs = [EndpointSpec(f"10.0.0.{index}:1", metrics_address=hanging.address) for index in range(1, 30)]
    settings: dict[str, Any] = {"max_requests": 8, "timeout_s": 3600.0, "health_path": "", "models_path": ""}
    async with scraping(vllm, **settings) as scraper:
        await heard.wait_for("page")
        scraper.set_endpoints([*specs, EndpointSpec(vllm.address)])
        await hanging.wait_asked("/metrics", 6)
        await heard.wait_for("page", times=10)


async def test_the_token_of_a_file_is_sent(vllm, heard: Heard, scraping, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    async with scraping(vllm, token_file=path):
        await heard.wait_for("page")
    assert {headers["authorization"] for _, headers in vllm.asked} == {"bearer one"}


async def test_a_sink_that_fails_is_told_once_and_the_others_go_on(vllm, heard: Heard, scraping, caplog) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("oops")

    heard.scraped = fail  # type: ignore[method-assign]
    async with scraping(vllm):
        await vllm.wait_asked("/metrics", 3)
        await heard.wait_for("healthy", times=3)
    assert sum("taking the answer failed" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("method", ["scraped", "scrape_failed", "health_seen", "models_seen"])
def test_the_pool_of_endpoints_is_a_sink(method: str) -> None:
    def shape(owner: type) -> list[tuple[str, object]]:
        return [(name, p.kind) for name, p in inspect.signature(getattr(owner, method)).parameters.items()]

    assert shape(EndpointPool) == shape(EndpointSink)

"""Where endpoints come from while a process runs, and what becomes of tasks that fail."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from epp.config import load
from epp.discovery import TargetSource
from epp.process import StartError, background
from epp.process.background import Background
from epp.process.feeds import Feeds
from epp.router import Router
from epp.scheduling import default_profile
from epp.telemetry.faults import FaultLog
from epp.telemetry.scraper import Scraper
from tests.process.picking import flags_of, until

FILE = "endpoints:\n- name: a\n  address: 127.0.0.1\n  port: {}\n"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSE_S", 0.01)


@asynccontextmanager
async def feeding(**flags: str | tuple[str, ...]) -> AsyncIterator[tuple[Feeds, Router]]:
    settings = load(flags_of(**flags), {}).settings
    router = Router(default_profile(), settings.router, np.random.default_rng(0))
    tasks = Background(FaultLog(logging.getLogger("epp"), time.monotonic))
    feeds = Feeds(router, settings.discovery, settings.scrape, tasks)
    feeds.start()
    try:
        yield feeds, router
    finally:
        await tasks.stop()


def addresses(router: Router) -> set[str]:
    return {router.pool.table.addresses[row] for row in router.pool.table.live_rows}


async def test_endpoints_are_known_once_they_were_read(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text(FILE.format(1))
    async with feeding(endpoints_file=str(file), endpoint=("127.0.0.1:2",)) as (feeds, router):
        async with asyncio.timeout(10):
            await feeds.wait_known()
        await until(lambda: addresses(router) == {"127.0.0.1:1", "127.0.0.1:2"})


@pytest.mark.parametrize("text", [None, "endpoints: ["], ids=["missing", "broken"])
async def test_a_file_that_cannot_be_read_at_first_is_the_operators_to_mend(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "endpoints.yaml"
    if text:
        file.write_text(text)
    async with feeding(endpoints_file=str(file)) as (feeds, _):
        with pytest.raises(StartError, match=str(file)):
            await feeds.wait_known()


async def test_a_file_that_breaks_later_leaves_the_endpoints_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text(FILE.format(1))
    async with feeding(endpoints_file=str(file)) as (feeds, router):
        await feeds.wait_known()
        file.write_text("endpoints: [")
        await until(lambda: any(str(file) in str(vars(record)) for record in caplog.records))
        assert addresses(router) == {"127.0.0.1:1"}
        file.write_text(FILE.format(2))
        await until(lambda: addresses(router) == {"127.0.0.1:2"})


async def test_other_sources_take_the_place_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text(FILE.format(1))
    async with feeding(endpoint=("127.0.0.1:2",)) as (feeds, router):
        await feeds.wait_known()
        await feeds.exchange_discovery(load(flags_of(endpoints_file=str(file)), {}).settings.discovery)
        await until(lambda: addresses(router) == {"127.0.0.1:1"})


async def test_a_source_that_fails_later_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0
    run = TargetSource.run

    async def fails_once(self: TargetSource, publish: object) -> None:
        nonlocal runs
        runs += 1
        task = asyncio.create_task(run(self, publish))  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(0.05 if runs == 1 else None):
                await task
        except TimeoutError:
            raise RuntimeError("lost the socket") from None
        finally:
            task.cancel()

    monkeypatch.setattr(TargetSource, "run", fails_once)
    async with feeding(endpoint=("127.0.0.1:2",)) as (feeds, router):
        await feeds.wait_known()
        await until(lambda: runs == 2)
        await feeds.wait_known()
        assert addresses(router) == {"127.0.0.1:2"}


async def test_a_scraper_that_fails_is_followed_by_another_with_the_same_endpoints(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[Scraper] = []
    run = Scraper.run

    async def fails_once(self: Scraper) -> None:
        ran.append(self)
        if len(ran) == 1:
            await asyncio.sleep(0.05)
            raise RuntimeError("a scraper broke")
        await run(self)

    monkeypatch.setattr(Scraper, "run", fails_once)
    async with feeding(endpoint=("127.0.0.1:2",)) as (feeds, _):
        await feeds.wait_known()
        await until(lambda: len(ran) == 2)
        assert ran[0] is not ran[1]
        await until(lambda: set(feeds.statistics()) == {"127.0.0.1:2"})
    assert "a background task failed and is started again" in caplog.messages


async def test_what_scraping_needs_is_checked_before_anything_runs(tmp_path: Path) -> None:
    config = tmp_path / "epp.yaml"
    config.write_text("""
epp:
  endpoints: {static: ["127.0.0.1:1"]}
  scraping: {scheme: https, tls: {caFile: /nonexistent/authorities}}
""")
    flags = flags_of(config_file=str(config))
    with pytest.raises(StartError, match="/nonexistent/authorities"):
        async with feeding(**flags):
            pass

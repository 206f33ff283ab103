"""Several sources as one."""

import asyncio
from pathlib import Path

import pytest

from epp.discovery import CombinedSource, EndpointFileError, FileSource, HostTarget, Publish, TargetSource
from epp.discovery import combined_source as module
from epp.endpoints.types import EndpointSpec


async def test_the_later_source_has_the_last_word(running) -> None:
    first = TargetSource([HostTarget("10.0.0.1", 1, "first"), HostTarget("10.0.0.2", 1, "first")])
    second = TargetSource([HostTarget("10.0.0.2", 1, "second")])
    async with running(CombinedSource([first, second])) as published:
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        while published.sets[-1]["10.0.0.2:1"].name != "second":
            await published.wait_news()


async def test_a_source_that_knows_nothing_holds_up_the_others_for_a_while(
    dns_server, dns_settings, running, monkeypatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    dns_server.silent = True
    waiting = TargetSource([HostTarget("gpu.test", 1)], dns_settings)
    async with running(CombinedSource([waiting, TargetSource.of("10.0.0.1:1")])) as published:
        await published.wait_for("10.0.0.1:1")


class Scripted:
    """A source that a test speaks for."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.publish: Publish = lambda _specs: None
        self._error: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def says(self, *addresses: str) -> None:
        self.publish([EndpointSpec(address) for address in addresses])

    def fails(self, error: Exception) -> None:
        error_of, self._error = self._error, asyncio.get_running_loop().create_future()
        self.started.clear()
        error_of.set_exception(error)

    async def run(self, publish: Publish) -> None:
        self.publish = publish
        self.started.set()
        await self._error


async def test_nothing_is_published_until_all_are_known(running) -> None:
    one, two = Scripted(), Scripted()
    async with running(CombinedSource([one, two])) as published:
        await asyncio.gather(one.started.wait(), two.started.wait())
        one.says("10.0.0.1:1")
        assert published.sets == []
        two.says("10.0.0.2:1")
        assert published.addresses == ["10.0.0.1:1", "10.0.0.2:1"]
        one.says()
        assert published.addresses == ["10.0.0.2:1"]


async def test_a_source_that_fails_later_is_started_again_and_what_it_said_stays(running, caplog, monkeypatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    one, two = Scripted(), Scripted()
    async with running(CombinedSource([one, two])) as published:
        await asyncio.gather(one.started.wait(), two.started.wait())
        one.says("10.0.0.1:1")
        two.says("10.0.0.2:1")
        one.fails(EndpointFileError("f", 1, "oops"))
        async with asyncio.timeout(20):
            await one.started.wait()
        two.says("10.0.0.3:1")
        assert published.addresses == ["10.0.0.1:1", "10.0.0.3:1"]
        one.says("10.0.0.4:1")
        assert published.addresses == ["10.0.0.3:1", "10.0.0.4:1"]
    assert sum("what it said last stays: f:1: oops" in message for message in caplog.messages) == 1


async def test_an_error_of_one_at_the_start_ends_all_with_itself(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    source = CombinedSource([TargetSource.of("10.0.0.1:1"), FileSource(tmp_path / "absent.yaml", watch=True)])
    with pytest.raises(EndpointFileError, match=r"absent\.yaml: cannot be read"):
        await source.run(lambda _specs: None)
    assert asyncio.all_tasks() == before


def test_nothing_to_combine_is_refused() -> None:
    with pytest.raises(ValueError, match="no sources"):
        CombinedSource([])

"""Several sources as one."""

import asyncio
from pathlib import Path

import pytest

from epp.discovery import CombinedSource, EndpointFileError, FileSource, HostTarget, TargetSource


async def test_the_later_source_has_the_last_word(running) -> None:
    first = TargetSource([HostTarget("10.0.0.1", 1, "first"), HostTarget("10.0.0.2", 1, "first")])
    second = TargetSource([HostTarget("10.0.0.2", 1, "second")])
    async with running(CombinedSource([first, second])) as published:
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        while published.sets[-1]["10.0.0.2:1"].name != "second":
            await published.wait_news()


async def test_a_source_that_knows_nothing_does_not_hold_up_the_others(dns_server, dns_settings, running) -> None:
    dns_server.silent = True
    waiting = TargetSource([HostTarget("gpu.test", 1)], dns_settings)
    async with running(CombinedSource([waiting, TargetSource.of("10.0.0.1:1")])) as published:
        await published.wait_for("10.0.0.1:1")


async def test_an_error_of_one_ends_all_with_itself(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    source = CombinedSource([TargetSource.of("10.0.0.1:1"), FileSource(tmp_path / "absent.yaml", watch=True)])
    with pytest.raises(EndpointFileError, match=r"absent\.yaml: cannot be read"):
        await source.run(lambda _specs: None)
    assert asyncio.all_tasks() == before


def test_nothing_to_combine_is_refused() -> None:
    with pytest.raises(ValueError, match="no sources"):
        CombinedSource([])

"""What every source keeps: `check_source` runs each of them through the rules of the `Source` protocol."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from epp.discovery import CombinedSource, DnsSettings, FileSource, HostTarget, ServiceTarget, Source, TargetSource

FILE = "endpoints:\n- {name: a, address: 10.0.0.1, port: 1}\n- {name: b, address: gpu.test, port: 1}\n"
ENDPOINTS = ("10.0.0.1:1", "10.0.0.2:1")

Make = Callable[[Path, DnsSettings], Source]

SOURCES: dict[str, Make] = {
    "addresses": lambda _path, _dns: TargetSource.of("10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:1"),
    "names": lambda _path, dns: TargetSource([HostTarget("gpu.test", 1), HostTarget("gpa.test", 1)], dns),
    "a service": lambda _path, dns: TargetSource([ServiceTarget("_v._tcp.test")], dns),
    "a file": FileSource,
    "a watched file": lambda path, dns: FileSource(path, dns, watch=True),
    "several": lambda path, dns: CombinedSource(
        [TargetSource.of("10.0.0.2:1"), FileSource(path, dns, watch=True), TargetSource.of("10.0.0.1:1")]
    ),
}


@pytest.fixture
def world(tmp_path: Path, dns_server, dns_settings) -> tuple[Path, DnsSettings]:
    """A file and a DNS server that know the same two endpoints."""
    path = tmp_path / "endpoints.yaml"
    path.write_text(FILE)
    dns_server.records = {
        ("gpa.test", "A"): ["10.0.0.1"],
        ("gpu.test", "A"): ["10.0.0.2"],
        ("_v._tcp.test", "SRV"): ["0 0 1 gpu.test.", "0 0 1 gpa.test."],
    }
    return path, dns_settings


async def check_source(make: Callable[[], Source], running) -> None:
    """Publishes the complete set, once; ends when cancelled and leaves nothing behind; can run again."""
    before = asyncio.all_tasks()
    source = make()
    for _ in range(2):
        async with running(source) as published:
            await published.wait_for(*ENDPOINTS)
            await asyncio.sleep(0.3)  # a source of several parts may know them one by one
            known = len(published.sets)
            await asyncio.sleep(0.3)  # several lookups later
            assert len(published.sets) == known
        assert asyncio.all_tasks() == before
    assert type(source).__name__ in repr(source)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
async def test_a_source_keeps_the_rules(make: Make, world: tuple[Path, DnsSettings], running) -> None:
    await check_source(lambda: make(*world), running)

"""Driving a directory: how many lookups at a time, and how many publications come of them."""

import asyncio
import contextlib

from epp.discovery.directory import Answer, DnsSettings, Failure, Question, RecordType
from epp.discovery.dns_lookup import LookupFailedError
from epp.discovery.resolving import MAX_LOOKUPS, Resolving
from epp.discovery.targets import HostTarget


class Addresses:
    """A lookup that knows one IPv4 address for every name but `absent`, and counts."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def __call__(self, question: Question) -> Answer:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if question.name == "absent":
            raise LookupFailedError(Failure.NO_SUCH_NAME, "absent")
        found = (f"10.0.0.{question.name.removeprefix('gpu')}",) if question.type is RecordType.A else ()
        return Answer(60.0, found)


def hosts(count: int) -> list[HostTarget]:
    return [HostTarget(f"gpu{number}", 1) for number in range(1, count + 1)]


@contextlib.asynccontextmanager
async def running(resolving: Resolving, sizes: list[int]):
    task = asyncio.create_task(resolving.run(lambda specs: sizes.append(len(specs))))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def size(sizes: list[int], wanted: int) -> None:
    async with asyncio.timeout(20):
        while not sizes or sizes[-1] != wanted:  # noqa: ASYNC110 - the list is all there is to see
            await asyncio.sleep(0.005)


async def test_lookups_are_bounded_and_answers_that_come_together_are_published_together() -> None:
    lookup, sizes = Addresses(), []
    resolving = Resolving(lookup, DnsSettings())
    resolving.set_targets(hosts(100))
    async with running(resolving, sizes):
        await size(sizes, 100)
    assert lookup.most == MAX_LOOKUPS
    assert len(sizes) < 5


async def test_targets_may_change_while_it_runs(caplog) -> None:
    sizes: list[int] = []
    resolving = Resolving(Addresses(), DnsSettings())
    async with running(resolving, sizes):
        resolving.set_targets(hosts(3))
        await size(sizes, 3)
        resolving.set_targets([*hosts(3), HostTarget("absent", 1), HostTarget("10.9.9.9", 1)])
        await size(sizes, 4)
        resolving.set_targets([])
        await size(sizes, 0)
    assert caplog.messages == ["absent: no such name; what was known of it stays (absent)"]

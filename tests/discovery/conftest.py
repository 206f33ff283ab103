"""A DNS server on loopback, and a reader of what a source publishes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from epp.discovery.directory import DnsSettings
from epp.discovery.source import Source
from epp.endpoints.types import EndpointSpec


class DnsServer(asyncio.DatagramProtocol):
    """Answers from `records`; a name without any record does not exist."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.ttl_s = 1
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.asked = asyncio.Semaphore(0)
        self.address = ("127.0.0.1", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.silent:
            self.transport.sendto(self._answer(dns.message.from_wire(data)).to_wire(), addr)  # type: ignore[attr-defined]

    async def wait_asked(self, times: int) -> None:
        """Waits until so many questions more have come."""
        while not self.asked.locked():
            await self.asked.acquire()
        for _ in range(times):
            await self.asked.acquire()

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.release()
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        reply.set_rcode(self.rcode)
        if self.rcode == dns.rcode.NOERROR:
            if found := self.records.get((name, kind)):
                reply.answer.append(dns.rrset.from_text(question.name, self.ttl_s, "IN", kind, *found))
            elif any(known == name for known, _ in self.records):
                soa = f"ns.test. admin.test. 1 60 60 60 {self.ttl_s}"
                reply.authority.append(dns.rrset.from_text("test.", self.ttl_s, "IN", "SOA", soa))
            else:
                reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply


@pytest.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    """A server that knows nothing yet."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        DnsServer, local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()


@pytest.fixture
def dns_settings(dns_server: DnsServer) -> DnsSettings:
    """Settings that ask that server, often."""
    return DnsSettings(nameservers=(dns_server.address,), min_interval_s=0.05, timeout_s=0.5)


class Published:
    """What a source has published so far. Checks the rules of `Source` on the way."""

    def __init__(self) -> None:
        self.sets: list[dict[str, EndpointSpec]] = []
        self._news = asyncio.Event()

    def take(self, specs: Sequence[EndpointSpec]) -> None:
        current = {spec.address: spec for spec in specs}
        assert len(current) == len(specs), "an address twice"
        assert not self.sets or self.sets[-1] != current, "an unchanged set"
        self.sets.append(current)
        self._news.set()

    @property
    def addresses(self) -> list[str] | None:
        return sorted(self.sets[-1]) if self.sets else None

    async def wait_for(self, *addresses: str) -> None:
        """Waits until exactly these are the endpoints."""
        async with asyncio.timeout(20):
            while self.addresses != sorted(addresses):
                await self.wait_news()

    async def wait_news(self) -> None:
        """Waits for the next set."""
        self._news.clear()
        async with asyncio.timeout(20):
            await self._news.wait()


Running = Callable[[Source], AbstractAsyncContextManager[Published]]


@pytest.fixture
def running() -> Running:
    """Runs a source for the length of a `with`; leaving it cancels the source and waits for its end."""

    @contextlib.asynccontextmanager
    async def run(source: Source) -> AsyncIterator[Published]:
        published = Published()
        task = asyncio.create_task(source.run(published.take))
        try:
            yield published
            assert not task.done(), task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run

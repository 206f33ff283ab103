"""Answers from a DNS server on loopback and from a hosts file."""

from pathlib import Path

import dns.rcode
import pytest

from epp.discovery.directory import Answer, DnsSettings, Failure, Question, RecordType, ServiceRecord
from epp.discovery.dns_lookup import DEFAULT_TTL_S, DnsLookup, LookupFailedError

RECORDS = {
    ("gpu.test", "A"): ["10.0.0.1", "10.0.0.2"],
    ("gpu.test", "AAAA"): ["FD00:0::1"],
    ("v4.test", "A"): ["10.0.0.3"],
    ("_v._tcp.test", "SRV"): ["0 5 8000 gpu.test.", "1 5 8001 Spare.test.", "0 0 0 .", "0 0 0 gpu.test."],
}

ANSWERS = {
    "addresses": (Question("gpu.test", RecordType.A), Answer(7, ("10.0.0.1", "10.0.0.2"))),
    "IPv6 in canonical form": (Question("gpu.test", RecordType.AAAA), Answer(7, ("fd00::1",))),
    "an absolute name": (Question("v4.test.", RecordType.A), Answer(7, ("10.0.0.3",))),
    "services; a target of . and a port of 0 offer nothing": (
        Question("_v._tcp.test", RecordType.SRV),
        Answer(7, (), (ServiceRecord("gpu.test.", 8000, 0), ServiceRecord("spare.test.", 8001, 1))),
    ),
}


@pytest.mark.parametrize(("question", "answer"), ANSWERS.values(), ids=ANSWERS)
async def test_records_are_answers(dns_server, dns_settings, question: Question, answer: Answer) -> None:
    dns_server.records, dns_server.ttl_s = RECORDS, 7
    found = await DnsLookup(dns_settings)(question)
    assert (found.ttl_s, set(found.addresses), set(found.services)) == (
        answer.ttl_s,
        set(answer.addresses),
        set(answer.services),
    )


async def test_a_name_without_such_records_is_an_empty_answer(dns_server, dns_settings) -> None:
    dns_server.records, dns_server.ttl_s = RECORDS, 7
    assert await DnsLookup(dns_settings)(Question("v4.test", RecordType.AAAA)) == Answer(7)


@pytest.mark.parametrize(
    ("rcode", "silent", "failure"),
    [
        (dns.rcode.NOERROR, False, Failure.NO_SUCH_NAME),
        (dns.rcode.SERVFAIL, False, Failure.SERVER),
        (dns.rcode.REFUSED, False, Failure.SERVER),
        (dns.rcode.NOERROR, True, Failure.TIMEOUT),
    ],
)
async def test_failures_are_told_apart(dns_server, dns_settings, rcode, silent: bool, failure: Failure) -> None:
    dns_server.rcode, dns_server.silent = rcode, silent
    with pytest.raises(LookupFailedError) as caught:
        await DnsLookup(dns_settings)(Question("gpu.test", RecordType.A))
    assert caught.value.failure is failure


async def test_the_hosts_file_comes_first(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 gpu1.example\n10.0.0.2 gpu1.example\n")
    lookup = DnsLookup(DnsSettings(), hosts)
    assert await lookup(Question("gpu1.example.", RecordType.A)) == Answer(DEFAULT_TTL_S, ("10.0.0.1", "10.0.0.2"))
    assert await lookup(Question("gpu1.example", RecordType.AAAA)) == Answer(DEFAULT_TTL_S)
    hosts.write_text("fd00::1 gpu1.example\n")
    assert await lookup(Question("gpu1.example", RecordType.AAAA)) == Answer(DEFAULT_TTL_S, ("fd00::1",))


async def test_servers_that_were_named_are_asked_alone(dns_server, dns_settings, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.9.9.9 gpu.test\n")
    dns_server.records = RECORDS
    found = await DnsLookup(dns_settings, hosts)(Question("gpu.test", RecordType.A))
    assert "10.9.9.9" not in found.addresses

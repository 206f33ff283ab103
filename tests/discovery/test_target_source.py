"""Names behind which addresses move."""

import dns.rcode
import pytest

from epp.discovery import HostTarget, ServiceTarget, TargetSource


async def test_endpoints_follow_the_addresses_of_a_name(dns_server, dns_settings, running) -> None:
    dns_server.ttl_s = 0
    dns_server.records = {("gpu.test", "A"): ["10.0.0.1"]}
    async with running(TargetSource([HostTarget("gpu.test", 1)], dns_settings)) as published:
        await published.wait_for("10.0.0.1:1")
        dns_server.records = {("gpu.test", "A"): ["10.0.0.1", "10.0.0.2"]}
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        dns_server.records = {("gpu.test", "AAAA"): ["fd00::1"]}
        await published.wait_for("[fd00::1]:1")
        dns_server.records = {("gpu.test", "TXT"): ["x"]}
        await published.wait_for()


async def test_endpoints_follow_the_records_of_a_service(dns_server, dns_settings, running) -> None:
    dns_server.ttl_s = 0
    dns_server.records = {("_v._tcp.test", "SRV"): ["0 0 1 gpu.test."], ("gpu.test", "A"): ["10.0.0.1"]}
    async with running(TargetSource([ServiceTarget("_v._tcp.test")], dns_settings)) as published:
        await published.wait_for("10.0.0.1:1")
        dns_server.records |= {("_v._tcp.test", "SRV"): ["0 0 2 gpv.test."], ("gpv.test", "A"): ["10.0.0.2"]}
        await published.wait_for("10.0.0.2:2")


async def test_a_failing_server_changes_nothing_and_is_logged_once(dns_server, dns_settings, running, caplog) -> None:
    caplog.set_level("INFO")
    dns_server.ttl_s = 0
    dns_server.records = {("gpu.test", "A"): ["10.0.0.1"]}
    async with running(TargetSource([HostTarget("gpu.test", 1)], dns_settings)) as published:
        await published.wait_for("10.0.0.1:1")
        dns_server.rcode = dns.rcode.SERVFAIL
        await dns_server.wait_asked(4)
        assert published.addresses == ["10.0.0.1:1"]
        dns_server.rcode = dns.rcode.NOERROR
        dns_server.records = {("gpu.test", "A"): ["10.0.0.2"]}
        await published.wait_for("10.0.0.2:1")
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("gpu.test: the DNS servers refuse or fail; what was known of it stays")
    assert "gpu.test: resolved again (A)" in caplog.messages


async def test_a_name_that_is_not_there_yet_does_not_hold_up_the_others(dns_server, dns_settings, running) -> None:
    dns_server.silent = True
    source = TargetSource([HostTarget("gpu.test", 1), HostTarget("10.0.0.9", 1)], dns_settings)
    async with running(source) as published:
        await published.wait_for("10.0.0.9:1")
        dns_server.silent, dns_server.records = False, {("gpu.test", "A"): ["10.0.0.1"]}
        await published.wait_for("10.0.0.1:1", "10.0.0.9:1")


def test_a_bad_target_is_refused_when_the_source_is_made() -> None:
    with pytest.raises(ValueError, match="has no port"):
        TargetSource.of("10.0.0.1:8000", "gpu1")

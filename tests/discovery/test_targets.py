"""What can be listed as an endpoint, and what the form's faults are told as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.targets import HostTarget, ServiceTarget, is_address, parse_host, parse_port, parse_target

GOOD = {
    "10.0.0.1:8000": HostTarget("10.0.0.1", 8000),
    "[FD00:0:0::1]:8000": HostTarget("fd00::1", 8000),
    "GPU1.example:8000": HostTarget("gpu1.example", 8000),
    "gpu1.example.:8000": HostTarget("gpu1.example.", 8000),
    "  gpu_1:1 ": HostTarget("gpu_1", 1),
    "localhost:65535": HostTarget("localhost", 65535),
    "_vllm._tcp.Example": ServiceTarget("_vllm._tcp.example"),
}

BAD = {
    "10.0.0.1": "has no port",
    "[::1]": "has no port",
    "::1:8000": "in brackets",
    "fd00::1:8000": "in brackets",
    "10.0.0.1:0": "between 1 and 65535",
    "10.0.0.1:65536": "between 1 and 65535",
    "10.0.0.1:http": "between 1 and 65535",
    "10.0.0.1:٣": "between 1 and 65535",
    "10.0.0:8000": "not an IPv4 address",
    "10.0.0.256:8000": "not an IPv4 address",
    "[fe80::1%eth0]:8000": "zone",
    "gpu 1:8000": "neither",
    "-gpu:8000": "neither",
    "gpu..1:8000": "neither",
    ":8000": "neither",
    "a" * 64 + ":8000": "neither",
    "a." * 127 + "a:8000": "neither",
    "http://gpu1:8000": "leave 'http://' out",
    "http://gpu1": "leave 'http://' out",
    "https://[::1]:8000/v1": "leave 'https://' out",
    "a:1,b:2": "each endpoint by itself",
    "10.0.0.1:8000, 10.0.0.2:8000": "each endpoint by itself",
    "": "no port",
    "_vllm._tcp.exa mple": "neither",
}


@pytest.mark.parametrize(("text", "target"), GOOD.items(), ids=GOOD)
def test_a_target_is_read(text: str, target: object) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(("text", "reason"), BAD.items(), ids=[key[:20] for key in BAD])
def test_a_bad_target_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_target(text)


@given(st.text(max_size=80))
def test_any_text_is_a_target_or_a_clear_refusal(text: str) -> None:
    try:
        target = parse_target(text)
    except ValueError:
        return
    assert isinstance(target, ServiceTarget) or parse_host(target.host) == target.host


@given(st.ip_addresses())
def test_an_address_is_told_from_a_name(address: object) -> None:
    assert is_address(parse_host(str(address)))
    assert not is_address(parse_host(f"x{str(address).replace(':', '-')}x.example"))


@pytest.mark.parametrize("text", ["", "+1", "1_0", " 1", "1 ", "99999", "0", "00000", "1e3", "000001"])
def test_a_port_is_plain_digits(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_port(text)

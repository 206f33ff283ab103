import socket

import pytest

from epp.process.addresses import check_address, listen, shown
from epp.process.errors import StartError


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("", 9002, "port 9002"), ("10.0.0.1", 80, "10.0.0.1:80"), ("::1", 80, "[::1]:80")],
)
def test_addresses_are_written_as_people_do(host: str, port: int, text: str) -> None:
    assert shown(host, port) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_port_is_said_with_what_to_change(host: str) -> None:
    with listen(host, 0, "--grpc-port") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError) as refused:
            check_address(host, port, "--grpc-port", "--bind")
    assert str(refused.value) == (
        f"cannot listen on {shown(host, port)} (--grpc-port): another process has the port; choose another"
    )


def test_a_foreign_address_is_the_other_options_matter() -> None:
    with pytest.raises(StartError, match=r"192\.0\.2\.1:0 \(--bind\): this machine has no such address"):
        check_address("192.0.2.1", 0, "--grpc-port", "--bind")
    with pytest.raises(StartError, match=r"\(--listen\)"):
        check_address("192.0.2.1", 0, "--listen")


def test_a_look_leaves_the_port_free() -> None:
    with listen("127.0.0.1", 0, "--grpc-port") as listener:
        port = listener.getsockname()[1]
    assert check_address("127.0.0.1", port, "--grpc-port") == port
    assert check_address("127.0.0.1", port, "--grpc-port") == port
    assert check_address("127.0.0.1", 0, "--grpc-port") > 0


def test_without_a_host_both_families_are_served() -> None:
    with listen("", 0, "--metrics-port") as listener:
        assert listener.family == socket.AF_INET6
        assert not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, listener.getsockname()[1]), timeout=5).close()

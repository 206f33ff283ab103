"""Ports that cannot be opened say so in the operator's words, and nothing of a failed start is left."""

import asyncio
import datetime
import io
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from epp.config import load
from epp.extproc.credentials import self_signed
from epp.process import PickerProcess, StartError
from epp.process.addresses import listen
from tests.process.picking import flags_of, logging_to, running_picker

Flags = dict[str, str | tuple[str, ...]]


async def refusal(**flags: str | tuple[str, ...]) -> str:
    """Why a picker with these flags does not start."""
    all_flags = flags_of(endpoint=("127.0.0.1:1",), **flags)
    logs = logging_to(io.StringIO())
    try:
        with pytest.raises(StartError) as refused:
            await PickerProcess(load(all_flags, {}), all_flags, logs).start()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return str(refused.value)
    finally:
        logs.stop()


@pytest.mark.parametrize("flag", ["grpc_port", "grpc_health_port", "metrics_port"])
async def test_a_taken_port_is_named_with_its_flag(flag: str) -> None:
    with listen("127.0.0.1", 0, "") as other:
        port = str(other.getsockname()[1])
        said = await refusal(**{flag: port})
    option = "--" + flag.replace("_", "-")
    assert said == f"cannot listen on 127.0.0.1:{port} ({option}): another process has the port; choose another"


async def test_a_start_that_fails_gives_its_ports_back() -> None:
    with listen("127.0.0.1", 0, "") as free:
        port = free.getsockname()[1]
    with listen("127.0.0.1", 0, "") as other:
        await refusal(metrics_port=str(port), grpc_port=str(other.getsockname()[1]))
    socket.create_server(("127.0.0.1", port)).close()


def certificate(folder: Path, key: bytes = b"") -> Path:
    """The folder, with a certificate in it."""
    made, made_key = self_signed(datetime.datetime.now(datetime.UTC))
    (folder / "tls.crt").write_bytes(made)
    (folder / "tls.key").write_bytes(key or made_key)
    return folder


def token(folder: Path, content: bytes) -> str:
    """A file with a token."""
    file = folder / "token"
    file.write_bytes(content)
    return str(file)


FILES: dict[str, tuple[Callable[[Path], Flags], str]] = {
    "no certificate": (lambda at: {"secure_serving": "true", "cert_path": str(at)}, "TLS certificate: .*tls.crt"),
    "no certificate of the metrics port": (
        lambda at: {"metrics_cert_dir": str(at)},
        "TLS of the metrics port: .*/tls.crt: No such file or directory",
    ),
    "no authority": (
        lambda at: {"metrics_cert_dir": str(certificate(at)), "metrics_client_ca_file": f"{at}/ca.crt"},
        "TLS of the metrics port: .*/ca.crt: No such file or directory",
    ),
    "a key that is none": (
        lambda at: {"metrics_cert_dir": str(certificate(at, key=b"no key"))},
        "TLS of the metrics port: .*/tls.crt and its key cannot be used",
    ),
    "no token": (lambda at: {"debug_token_file": f"{at}/token"}, "debug token: .*/token: cannot be read: No such file"),
    "a token that is none": (lambda at: {"debug_token_file": token(at, "gehört".encode())}, "plain ASCII text"),
    "an empty token": (lambda at: {"debug_token_file": token(at, b"\n")}, "must hold one token"),
}


@pytest.mark.parametrize(("flags", "why"), FILES.values(), ids=FILES)
async def test_a_file_that_cannot_be_used_is_named(flags: Callable[[Path], Flags], why: str, tmp_path: Path) -> None:
    assert re.search(why, await refusal(**flags(tmp_path)))


async def test_metrics_are_served_with_tls(tmp_path: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate(tmp_path) / "tls.crt")
    trusted.check_hostname = False
    async with (
        running_picker(metrics_cert_dir=str(tmp_path)) as picker,
        picker.http.get(f"https://127.0.0.1:{picker.ports.http}/healthz", ssl=trusted) as answer,
    ):
        assert await answer.text() == "ok\n"


@pytest.mark.parametrize("host", ["", "::1"])
async def test_ipv6_is_served(host: str) -> None:
    async with running_picker(bind=host, endpoints=("[::1]:1",)) as picker:
        assert await picker.pick() == "[::1]:1"
        assert await picker.health("liveness")
        for address in {host or "127.0.0.1", "::1"}:
            with socket.create_connection((address, picker.ports.http), timeout=10) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                answer = await asyncio.to_thread(connection.recv, 65536)
            assert answer.startswith(b"HTTP/1.0 200")

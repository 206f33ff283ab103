"""Requests to servers that behave, and to servers that do not."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from epp.telemetry.http_client import FetchError, HttpClient
from epp.telemetry.scrape_settings import ScrapeSettings, TlsSettings


async def get(server, max_bytes: int = 1000, path: str = "/x", **settings) -> tuple[int, bytes]:
    made = ScrapeSettings(**{"timeout_s": 5.0, **settings})
    async with HttpClient(made) as client:
        return await client.get(URL(f"{made.scheme}://{server.address}{path}"), max_bytes)


async def test_an_answer_is_status_and_body(server) -> None:
    server.replies["/x"] = server.reply(b"hello", "503 Service Unavailable")
    assert await get(server) == (503, b"hello")


async def test_a_chunked_body_is_put_together(server) -> None:
    server.replies["/x"] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    assert await get(server) == (200, b"hello")


async def test_a_body_may_end_with_the_connection(server) -> None:
    server.replies["/x"] = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"
    assert await get(server) == (200, b"hello")


async def test_a_redirect_is_not_followed(server) -> None:
    server.replies["/x"] = server.reply(status="307 Temporary Redirect", location="/elsewhere")
    assert (await get(server))[0] == 307
    assert server.paths() == ["/x"]


async def test_requests_carry_what_they_should_and_no_cookies(server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    server.replies["/x"] = server.reply(set_cookie="a=b")
    async with HttpClient(ScrapeSettings(token_file=tmp_path / "token", timeout_s=5.0)) as client:
        for _ in range(2):
            await client.get(URL(f"http://{server.address}/x"), 100)
    assert server.connections == 1
    headers = server.asked[-1][1]
    assert headers["authorization"] == "bearer abc"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == "endpoint-picker"
    assert "cookie" not in headers


FAILURES = {
    "no answer": (None, "no answer within 0.2 s"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not HTTP: "),
    "closed at once": (b"connection: close", "(not HTTP|closed the connection)"),
    "a body that ends early": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhi", "ended early"),
    "a body that does not come": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", "no answer within 0.2 s"),
    "a length beyond the limit": (b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", "more than 1000 bytes"),
    "chunks beyond the limit": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n" * 1,
        "no answer within 0.2 s",
    ),
    "endless chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"100\r\n" + b"x" * 256 + b"\r\n") * 10,
        "more than 1000 bytes",
    ),
    "an endless header": (b"HTTP/1.1 200 OK\r\na: " + b"x" * 200_000, "not HTTP"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, "."),
    "compressed": (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi", "compressed"),
}


@pytest.mark.parametrize(("answer", "reason"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_one_line_of_text(server, answer: bytes | None, reason: str) -> None:
    server.replies["/x"] = answer
    with pytest.raises(FetchError, match=reason) as caught:
        await get(server, timeout_s=0.2)
    assert "\n" not in str(caught.value)


async def test_nobody_listens(server) -> None:
    await server.stop()
    with pytest.raises(FetchError, match="no connection"):
        await get(server)


class Authority:
    """A certificate of ourselves for 127.0.0.1 and vllm.test, and its key, in files."""

    def __init__(self, directory: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vllm.test")])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("vllm.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.cert, self.key = directory / "tls.crt", directory / "tls.key"
        self.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def context(self, *, ask_client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.cert) if ask_client else None)
        context.load_cert_chain(self.cert, self.key)
        context.verify_mode = ssl.CERT_REQUIRED if ask_client else ssl.CERT_NONE
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_certificate_is_verified_or_not(start_server, authority: Authority) -> None:
    server = await start_server(authority.context())
    server.replies["/x"] = server.reply(b"hello")
    known = TlsSettings(ca_file=authority.cert)
    assert await get(server, scheme="https", tls=known) == (200, b"hello")
    assert await get(server, scheme="https", tls=TlsSettings(verify=False)) == (200, b"hello")
    assert await get(server, scheme="https", tls=TlsSettings(ca_file=authority.cert, server_name="vllm.test"))
    for refused in (TlsSettings(), TlsSettings(ca_file=authority.cert, server_name="other.test")):
        with pytest.raises(FetchError, match="certificate refused"):
            await get(server, scheme="https", tls=refused)


async def test_our_own_certificate_is_shown(start_server, authority: Authority) -> None:
    server = await start_server(authority.context(ask_client=True))
    server.replies["/x"] = server.reply(b"hello")
    shown = TlsSettings(ca_file=authority.cert, cert_file=authority.cert, key_file=authority.key)
    assert await get(server, scheme="https", tls=shown) == (200, b"hello")
    with pytest.raises(FetchError):
        await get(server, scheme="https", tls=TlsSettings(ca_file=authority.cert))


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
@pytest.mark.parametrize("there", [False, True], ids=["missing", "rubbish"])
def test_tls_files_that_cannot_be_used_are_told_when_the_client_is_made(
    tmp_path: Path, field: str, there: bool
) -> None:
    path = tmp_path / "x.pem"
    if there:
        path.write_text("rubbish")
    with pytest.raises(ValueError, match=r"x\.pem.*: no certificate"):
        HttpClient(ScrapeSettings(scheme="https", tls=TlsSettings(**{field: path})))

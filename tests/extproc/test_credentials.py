import asyncio
import datetime
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from epp.extproc.credentials import CertificateError, TlsFiles, self_signed, server_credentials
from epp.extproc.health import HealthService

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def write(folder: Path, pair: tuple[bytes, bytes] | None = None) -> TlsFiles:
    certificate, key = pair or self_signed(NOW)
    files = TlsFiles(folder / "tls.crt", folder / "tls.key")
    files.certificate.write_bytes(certificate)
    files.key.write_bytes(key)
    return files


class Server:
    """A gRPC server with health on it, to shake hands with."""

    def __init__(self, credentials: grpc.ServerCredentials) -> None:
        self.server = grpc.aio.server()
        self.health = HealthService()
        self.health.add_to(self.server)
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)

    async def __aenter__(self) -> "Server":
        await self.health.start()
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop(None)

    async def handshake(self) -> tuple[bytes, str | None]:
        """Certificate in DER, and the protocol that was agreed on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        tls = writer.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True), tls.selected_alpn_protocol()
        writer.transport.abort()
        return shown


async def test_a_self_signed_certificate_is_ecdsa_and_the_protocol_is_h2() -> None:
    async with Server(server_credentials(None)) as server:
        certificate, protocol = await server.handshake()
    assert protocol == "h2"
    assert x509.load_der_x509_certificate(certificate).signature_hash_algorithm.name == "sha256"
    assert x509.load_der_x509_certificate(certificate).public_key().curve.name == "secp256r1"


async def test_a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_not(tmp_path: Path) -> None:
    files = write(tmp_path)
    async with Server(server_credentials(files)) as server:
        first, _ = await server.handshake()
        write(tmp_path)
        second, _ = await server.handshake()
        files.certificate.write_bytes(b"half written")
        third, _ = await server.handshake()
    assert first != second
    assert second == third


async def test_without_reload_the_first_certificate_stays(tmp_path: Path) -> None:
    files = write(tmp_path)
    async with Server(server_credentials(TlsFiles(files.certificate, files.key, reload=False))) as server:
        first, _ = await server.handshake()
        write(tmp_path)
        assert await server.handshake() == (first, "h2")


async def test_a_client_certificate_can_be_required(tmp_path: Path) -> None:
    files = write(tmp_path)
    client_certificate, client_key = self_signed(NOW)
    (tmp_path / "ca.crt").write_bytes(client_certificate)
    async with Server(server_credentials(TlsFiles(files.certificate, files.key, tmp_path / "ca.crt"))) as server:
        root = files.certificate.read_bytes()
        for pair, works in (((client_key, client_certificate), True), ((None, None), False)):
            credentials = grpc.ssl_channel_credentials(root, *pair)
            options = [("grpc.ssl_target_name_override", "localhost")]
            async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, options) as channel:
                call = channel.unary_unary("/grpc.health.v1.Health/Check")(b"\n\x08liveness", timeout=5)
                if works:
                    assert await call == b"\x08\x01"
                else:
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files: files.key.unlink(), "tls.key: No such file or directory"),
        (lambda files: files.certificate.write_bytes(b"x"), "tls.crt is not a PEM certificate"),
        (lambda files: files.key.write_bytes(b"x"), "tls.key is not an unencrypted PEM key"),
        (lambda files: files.key.write_bytes(self_signed(NOW)[1]), "is not the key of"),
    ],
)
def test_files_that_do_not_do_are_named(tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    files = write(tmp_path)
    spoil(files)
    with pytest.raises(CertificateError, match=message):
        server_credentials(files)

# ruff: noqa: TID251 - this file is an edge: it reads certificate files and the clock
"""TLS for the gRPC server: a self-signed certificate made at start, or files that are read again when they change.

gRPC's own TLS stack sets ALPN `h2` and takes TLS 1.2 and later. A self-signed certificate serves gateways that encrypt
without verifying, which is what they do with endpoint pickers; ECDSA, because some gateways (NGINX Gateway Fabric) make
a new connection for every request and an RSA handshake costs many times as much.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["CertificateError", "TlsFiles", "self_signed", "server_credentials"]

log = logging.getLogger(__name__)

_VALID_DAYS = 3650
"""As long as the process may live; it is made anew at every start."""


class CertificateError(Exception):
    """A certificate, key or CA file cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the server."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """Who connects must show a certificate of this CA."""
    reload: bool = True
    """Use new contents for new connections as soon as they are there."""


def self_signed(now: datetime.datetime) -> tuple[bytes, bytes]:
    """Certificate and key in PEM, ECDSA P-256, for `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "endpoint-picker")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def server_credentials(files: TlsFiles | None) -> grpc.ServerCredentials:
    """Credentials for the server; without files, self-signed ones. Raises CertificateError for files that do not do."""
    if files is None:
        certificate, key = self_signed(datetime.datetime.now(datetime.UTC))
        return grpc.ssl_server_credentials([(key, certificate)])
    watcher = _Watcher(files)
    return grpc.dynamic_ssl_server_credentials(
        watcher.configuration,
        watcher.changed if files.reload else _never,
        require_client_authentication=bool(files.client_ca),
    )


def _never() -> None:
    return None


class _Watcher:
    """Reads the files, and again when they change. gRPC asks before each handshake, from threads of its own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = self._stamps()
        self.configuration = self._read()

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """New contents, or None. Files that do not do are logged, and the certificate in use stays."""
        try:
            stamp = self._stamps()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            configuration = self._read()
        except CertificateError as error:
            log.error("the certificate in use stays: %s", error)
            return None
        log.info("certificate read again from %s", self._files.certificate)
        return configuration

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple(_stamp(path) for path in (self._files.certificate, self._files.key, self._files.client_ca) if path)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key = _bytes_of(self._files.certificate), _bytes_of(self._files.key)
        _check_pair(self._files, certificate, key)
        roots = _bytes_of(self._files.client_ca) if self._files.client_ca else None
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=roots)


def _check_pair(files: TlsFiles, certificate: bytes, key: bytes) -> None:
    """To gRPC a bad pair is only a failed handshake, so it is looked at here."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise CertificateError(f"{files.certificate} is not a PEM certificate: {error}") from error
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{files.key} is not an unencrypted PEM key: {error}") from error
    if private.public_key() != parsed.public_key():
        raise CertificateError(f"{files.key} is not the key of {files.certificate}")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_ino


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error

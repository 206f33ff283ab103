# ruff: noqa: TID251 - this file is an edge: it opens ports
"""Opens the ports: external processing, health, and HTTP for metrics and debug pages."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from epp.config import ServerTls, Settings
from epp.extproc import ExtProcService
from epp.extproc.credentials import CertificateError, TlsFiles, server_credentials
from epp.extproc.health import HealthService
from epp.extproc.server import channel_options
from epp.process.addresses import check_address, listen, shown
from epp.process.errors import StartError
from epp.telemetry.bearer_token import read_token
from epp.telemetry.debug_access import AccessSettings
from epp.telemetry.debug_server import DebugPages, DebugServer, DebugSettings

__all__ = ["GrpcPorts", "start_http", "tls_files"]

Server: TypeAlias = Any
"""`grpc.aio.Server`, of which grpcio ships no types."""

BIND = "--bind"

CERTIFICATE, KEY = "tls.crt", "tls.key"
"""Names in a certificate directory, as Kubernetes' secrets of type TLS have them."""


class GrpcPorts:
    """The external processing port and the health port."""

    def __init__(self, settings: Settings, service: ExtProcService) -> None:
        self._settings = settings.serving
        self._service = service
        self._extproc: Server = grpc.aio.server(options=channel_options())
        self._health_server: Server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self.health = HealthService()
        self.port = 0
        self.health_port = 0

    async def start(self) -> None:
        """Begins to serve; not ready yet. Raises StartError when a port or a certificate cannot be used."""
        self._extproc.add_generic_rpc_handlers(self._service.handlers())
        self.port = self._bind(self._extproc, self._settings.port, "--grpc-port", self._credentials())
        self.health.add_to(self._health_server)
        self.health_port = self._bind(self._health_server, self._settings.health_port, "--grpc-health-port", None)
        await self.health.start()
        await self._health_server.start()
        await self._extproc.start()

    async def finish(self, grace_s: float) -> None:
        """Takes no new streams; those under way may go on for the grace period."""
        await self._extproc.stop(grace_s)

    async def stop(self) -> None:
        """Closes both ports."""
        await self._extproc.stop(0)
        await self._health_server.stop(0)

    def _credentials(self) -> grpc.ServerCredentials | None:
        if self._settings.tls is None:
            return None
        try:
            return server_credentials(tls_files(self._settings.tls))
        except CertificateError as error:
            raise StartError(f"TLS certificate: {error}") from error

    def _bind(self, server: Server, port: int, flag: str, credentials: grpc.ServerCredentials | None) -> int:
        bind = self._settings.bind
        check_address(bind, port, flag, BIND)
        address = shown(bind or "::", port)
        try:
            bound: int = (
                server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise StartError(f"cannot listen on {shown(bind, port)} ({flag}): {error}") from error
        return bound


def tls_files(tls: ServerTls) -> TlsFiles | None:
    """Files of a port's TLS; None when a certificate is to be made."""
    if tls.cert_dir is None:
        return None
    return TlsFiles(tls.cert_dir / CERTIFICATE, tls.cert_dir / KEY, tls.client_ca_file, tls.reload)


async def start_http(settings: Settings, pages: DebugPages) -> DebugServer:
    """The server for metrics and debug pages. Raises StartError when its port or its files cannot be used."""
    http = settings.http
    token = _token(http.token_file) if http.token_file else ""
    access = AccessSettings(token=token, protect_metrics=http.metrics_need_token)
    server = DebugServer(DebugSettings(http.bind, http.port, access), pages, _ssl_context(http.tls))
    await server.start(listen(http.bind, http.port, "--metrics-port", BIND))
    return server


def _token(file: Path) -> str:
    try:
        return read_token(file)
    except OSError as error:
        raise StartError(f"debug token: {file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise StartError(f"debug token: {file}: must hold one token, in plain ASCII text") from error


def _ssl_context(tls: ServerTls | None) -> ssl.SSLContext | None:
    files = tls_files(tls) if tls else None
    if files is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        for file in (files.certificate, files.key, *([files.client_ca] if files.client_ca else [])):
            file.open("rb").close()  # the errors of `ssl` do not say which file is missing
        context.load_cert_chain(files.certificate, files.key)
        if files.client_ca:
            context.load_verify_locations(files.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        raise StartError(f"TLS of the metrics port: {files.certificate} and its key cannot be used: {error}") from error
    except OSError as error:
        raise StartError(f"TLS of the metrics port: {error.filename}: {error.strerror}") from error
    return context

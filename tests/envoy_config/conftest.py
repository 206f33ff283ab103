"""What the tests against a real Envoy need around it: model servers that echo, and a picker that says what it is told.

The picker speaks the protocol through the classes of envoy-data-plane, so that nothing here depends on our own.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from epp.envoy import EnvoyProcess, EnvoySettings, LaunchSettings, as_yaml, build_bootstrap
from epp.protocol import DESTINATION, LB_NAMESPACE

with warnings.catch_warnings():  # of pydantic, about the form of these generated classes
    warnings.simplefilter("ignore", DeprecationWarning)
    import envoy_data_plane.envoy.config.core.v3 as core
    import envoy_data_plane.envoy.service.ext_proc.v3 as ext_proc
    from envoy_data_plane.google.protobuf import Struct


@dataclass
class Backend:
    """A model server on loopback that remembers what it was asked."""

    address: str
    requests: list[tuple[dict[str, str], int]] = field(default_factory=list)
    """Headers, lower-case, and length of the body."""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, len(body)))
        return web.Response(text=self.address)


@dataclass
class ScriptedPicker:
    """Names one destination for every request and records what it is shown."""

    destination: str | None
    """None: ends each stream at once, without a word."""
    port: int = 0
    health_port: int = 0
    """Without TLS, as the picker's."""
    streams: list[list[str]] = field(default_factory=list)
    """Kinds of messages per stream, in order."""
    request_headers: list[dict[str, str]] = field(default_factory=list)
    metadata: list[dict[str, dict[str, object]]] = field(default_factory=list)
    """Namespaces of each message."""

    async def process(self, messages: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        kinds: list[str] = []
        self.streams.append(kinds)
        if self.destination is None:
            return
        body = b""
        async for data in messages:
            message = ext_proc.ProcessingRequest.parse(data)
            if message.metadata_context is not None:
                namespaces = message.metadata_context.filter_metadata
                self.metadata.append({name: values.to_dict() for name, values in namespaces.items()})
            if message.request_headers is not None:
                kinds.append("request headers")
                self.request_headers.append(_header_dict(message.request_headers))
                if message.request_headers.end_of_stream:
                    yield self._pick()
            elif message.request_body is not None:
                kinds.append("request body")
                body += message.request_body.body
                if message.request_body.end_of_stream:
                    yield self._pick()
                    yield bytes(ext_proc.ProcessingResponse(request_body=_echoed(body)))
            elif message.response_headers is not None:
                kinds.append("response headers")
                yield bytes(ext_proc.ProcessingResponse(response_headers=ext_proc.HeadersResponse()))
            elif message.response_body is not None:
                kinds.append("response body")
                chunk = message.response_body
                yield bytes(
                    ext_proc.ProcessingResponse(response_body=_echoed(chunk.body, end_of_stream=chunk.end_of_stream))
                )

    def _pick(self) -> bytes:
        assert self.destination is not None
        value = core.HeaderValue(key=DESTINATION, raw_value=self.destination.encode())
        mutation = ext_proc.HeaderMutation(set_headers=[core.HeaderValueOption(header=value)])
        return bytes(
            ext_proc.ProcessingResponse(
                request_headers=ext_proc.HeadersResponse(response=ext_proc.CommonResponse(header_mutation=mutation)),
                dynamic_metadata=Struct.from_dict({LB_NAMESPACE: {DESTINATION: self.destination}}),
            )
        )


def _header_dict(headers: ext_proc.HttpHeaders) -> dict[str, str]:
    assert headers.headers is not None
    return {header.key: header.raw_value.decode() for header in headers.headers.headers}


def _echoed(body: bytes, *, end_of_stream: bool = True) -> ext_proc.BodyResponse:
    streamed = ext_proc.StreamedBodyResponse(body=body, end_of_stream=end_of_stream)
    return ext_proc.BodyResponse(
        response=ext_proc.CommonResponse(body_mutation=ext_proc.BodyMutation(streamed_response=streamed))
    )


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, which is its own CA."""

    file: Path
    pem: bytes
    key: bytes


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "picker")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    file = tmp_path_factory.mktemp("certificate") / "ca.pem"
    file.write_bytes(pem)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(file, pem, key_pem)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test started, last first."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def backend(stack: AsyncExitStack) -> Callable[[], Awaitable[Backend]]:
    async def start() -> Backend:
        found = Backend("")
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", found.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        found.address = f"{host}:{port}"
        return found

    return start


@pytest.fixture
def picker(stack: AsyncExitStack) -> Callable[..., Awaitable[ScriptedPicker]]:
    async def start(destination: str | None, certificate: Certificate | None = None) -> ScriptedPicker:
        scripted = ScriptedPicker(destination)
        server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(scripted.process)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("envoy.service.ext_proc.v3.ExternalProcessor", {"Process": handler}),)
        )
        health = health_aio.HealthServicer()
        await health.set("readiness", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        scripted.health_port = server.add_insecure_port("127.0.0.1:0")
        if certificate is None:
            scripted.port = server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials([(certificate.key, certificate.pem)])
            scripted.port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        stack.push_async_callback(server.stop, None)
        return scripted

    return start


@pytest.fixture
def envoy(stack: AsyncExitStack) -> Callable[[EnvoySettings], Awaitable[EnvoyProcess]]:
    """Starts Envoy with these settings, on ports of its own choice."""

    async def start(settings: EnvoySettings) -> EnvoyProcess:
        own_ports = replace(settings, listener_port=0, admin_port=0)
        launch = LaunchSettings(ready_timeout_s=60)
        return await stack.enter_async_context(EnvoyProcess(as_yaml(build_bootstrap(own_ports)), launch))

    return start


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A loopback port that nobody listens on: bound for as long as the test runs, so that nobody else can take it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]

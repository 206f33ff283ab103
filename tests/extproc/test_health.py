import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from epp.extproc.health import HealthService

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
READINESS = ["", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor", "inference-extension"]


@pytest.fixture
async def health():  # type: ignore[no-untyped-def]
    server = grpc.aio.server()
    service = HealthService()
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await service.start()
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service, health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


async def check(stub: health_pb2_grpc.HealthStub, name: str) -> int:
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)).status


async def test_liveness_holds_from_the_start_and_readiness_when_it_is_said(health) -> None:  # type: ignore[no-untyped-def]
    service, stub = health
    assert [await check(stub, name) for name in ["liveness", *READINESS]] == [SERVING] + [NOT_SERVING] * 4
    await service.set_ready(ready=True)
    assert [await check(stub, name) for name in READINESS] == [SERVING] * 4
    await service.set_ready(ready=False)
    assert [await check(stub, name) for name in ["liveness", *READINESS]] == [SERVING] + [NOT_SERVING] * 4


async def test_unknown_names_are_not_found(health) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await check(health[1], "nonsense")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watchers_are_told(health) -> None:  # type: ignore[no-untyped-def]
    service, stub = health
    call = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"), timeout=10)
    assert (await call.read()).status == NOT_SERVING
    await service.set_ready(ready=True)
    assert (await call.read()).status == SERVING
    call.cancel()

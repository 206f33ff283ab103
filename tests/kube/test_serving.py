"""`epp serve --pool-name` as a process: from objects of the API to the endpoints that it picks from."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.commands.running import Command, epp, run
from tests.kube.api_server import PODS, POOLS, ApiServer
from tests.kube.objects import NAMESPACE, pod, pool
from tests.kube.watching import until

PORTS = ("--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", "--bind=127.0.0.1", "--secure-serving=false")


@pytest.fixture
def kubeconfig(api_server: ApiServer, tmp_path: Path) -> str:
    """The path of a file that leads to the API server."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "here", "user": "me", "namespace": "ignored"}}],
        "clusters": [{"name": "here", "cluster": {"server": api_server.url}}],
        "users": [{"name": "me", "user": {"token": api_server.token}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def endpoints(port: int) -> dict[str, Any]:
    """By address, from the debug server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/endpoints", timeout=30) as answer:
        return {each["address"]: each for each in json.load(answer)["endpoints"]}


async def shown(picker: Command, port: int, *addresses: str) -> dict[str, Any]:
    """Waits until exactly these are the endpoints."""
    found: dict[str, Any] = {}

    def look() -> bool:
        nonlocal found
        found = endpoints(port)
        return sorted(found) == sorted(addresses)

    await asyncio.to_thread(picker.until, look)
    return found


def is_ready(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""), timeout=30)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("command", [("serve",), ()], ids=["epp serve", "epp"])
async def test_the_pods_of_a_pool_are_served(api_server: ApiServer, kubeconfig: str, command: tuple[str, ...]) -> None:
    flags = ("--pool-name", "llama", "--pool-namespace", NAMESPACE, *PORTS, "--zap-encoder=json")
    with epp(*command, *flags, KUBECONFIG=kubeconfig) as picker:
        served = await asyncio.to_thread(picker.wait_for, "serving")
        port, health = served["metrics_port"], served["health_port"]
        await until(lambda: api_server.watching == 1)
        assert not await asyncio.to_thread(is_ready, health), "the pool was not read yet"
        api_server.apply(POOLS, pool(ports=(1, 2)))
        api_server.apply(PODS, pod("a-0", "127.0.0.1", labels={"app": "vllm", "model": "llama", "zone": "z"}))
        found = await shown(picker, port, "127.0.0.1:1", "127.0.0.1:2")
        assert {each["name"] for each in found.values()} == {"a-0-rank-0", "a-0-rank-1"}
        await asyncio.to_thread(picker.wait_for, "ready")
        api_server.apply(PODS, pod("b-0", "127.0.0.2", ready=False))
        api_server.delete(PODS, NAMESPACE, "a-0")
        await shown(picker, port)
        began = time.monotonic()
        api_server.apply(PODS, pod("b-0", "127.0.0.2"))
        await shown(picker, port, "127.0.0.2:1", "127.0.0.2:2")
        assert time.monotonic() - began < 1.0
        assert await asyncio.to_thread(is_ready, health)
    assert [asked for asked, _ in api_server.requests].count("list pods") == 1


async def test_pods_are_served_by_their_labels(api_server: ApiServer, kubeconfig: str) -> None:
    api_server.apply(PODS, pod("a-0", "127.0.0.1"))
    flags = ("--endpoint-selector", "app=vllm", "--endpoint-target-ports", "1,2", *PORTS, "--zap-encoder=json")
    with epp(*flags, KUBECONFIG=kubeconfig, NAMESPACE=NAMESPACE) as picker:
        served = await asyncio.to_thread(picker.wait_for, "serving")
        await shown(picker, served["metrics_port"], "127.0.0.1:1", "127.0.0.1:2")


def test_without_a_way_to_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    done = run("--pool-name=p", *PORTS, KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path))
    assert done.returncode == 1
    assert "no way to the Kubernetes API" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr

# ruff: noqa: TID251 - this file is an edge: it serves gRPC
"""gRPC health on a port of its own: Check and Watch, as gateways, Kubernetes and Envoy ask for it.

`liveness` holds as long as the process answers. The others hold while it is ready to pick: the endpoints were read
once, and it is not draining. Names that nobody has defined are NOT_FOUND.
"""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from epp.protocol import EXT_PROC_SERVICE

__all__ = ["HealthService"]

LIVENESS = "liveness"
READINESS_NAMES = ("", "readiness", EXT_PROC_SERVICE, "inference-extension")
"""GKE asks for the empty name, the conformance suite for `inference-extension` (protocol rule N14)."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthService:
    """Health of the process, as gRPC sees it. Begins alive and not ready."""

    def __init__(self) -> None:
        self._servicer = health_aio.HealthServicer()
        self.ready = False

    async def start(self) -> None:
        """Publishes the first states."""
        await self._servicer.set(LIVENESS, _SERVING)
        await self.set_ready(ready=False)

    async def set_ready(self, *, ready: bool) -> None:
        """Says whether picks can be asked for; watchers are told."""
        self.ready = ready
        for name in READINESS_NAMES:
            await self._servicer.set(name, _SERVING if ready else _NOT_SERVING)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serves health on a gRPC server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

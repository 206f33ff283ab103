"""An API server with many pods of which some change all the time: `python -m bench.kubernetes.churn --help`.

It is the tests' one, in a process of its own so that its work is not counted as the picker's. It prints its URL and
token, waits until pods are watched, changes them, and then adds a probe that carries the time of its last change.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from tests.kube.api_server import PODS, POOLS, ApiServer
from tests.kube.objects import pod, pool

PROBES = 10
SETTLE_S = 2.0
PROBE_EVERY_S = 0.5


async def main() -> None:
    """Serves until it has made all changes."""
    flags = argparse.ArgumentParser(description="An API server with pods that change.")
    flags.add_argument("--pods", type=int, default=2000)
    flags.add_argument("--per-s", type=float, default=100.0, help="changes (default: %(default)g)")
    flags.add_argument("--seconds", type=float, default=15.0)
    flags.add_argument("--flip", action="store_true", help="each change makes a pod ready or not, and so the endpoints")
    chosen = flags.parse_args()
    server = ApiServer()
    await server.start()
    server.apply(POOLS, pool(ports=(8000,)))
    for number in range(chosen.pods):
        server.apply(PODS, pod(f"vllm-{number}", _address(number)))
    print(server.url, server.token, flush=True)
    while server.watching < 2:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_S)
    await _change(server, chosen)
    for number in range(PROBES):
        labels = {"app": "vllm", "model": "llama", "at": f"{time.monotonic():.6f}"}
        server.apply(PODS, pod("probe", f"10.200.0.{number + 1}", labels=labels))
        await asyncio.sleep(PROBE_EVERY_S)
    await server.kill()


async def _change(server: ApiServer, chosen: argparse.Namespace) -> None:
    begun = time.monotonic()
    for change in range(int(chosen.seconds * chosen.per_s)):
        turn, number = divmod(change, chosen.pods)
        ready = not chosen.flip or turn % 2 == 1
        server.apply(PODS, pod(f"vllm-{number}", _address(number), ready=ready, annotations={"beat": str(change)}))
        if change % 1000 == 999:
            server.compact()  # it would keep all of them
        await asyncio.sleep(max(0.0, begun + (change + 1) / chosen.per_s - time.monotonic()))


def _address(number: int) -> str:
    return f"10.{number >> 8}.{number & 255}.1"


if __name__ == "__main__":
    asyncio.run(main())

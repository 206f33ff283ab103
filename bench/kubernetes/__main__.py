"""What it costs to watch a large pool that changes all the time: `python -m bench.kubernetes`.

CPU and memory of the source with a router behind it, which is what one picker does; and the time from a change of an
object to the endpoint table that has it. The monotonic clock is one for all processes of a machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bench.extproc.usage import rss_bytes
from epp.discovery.kubernetes import Access, KubernetesSource, PoolReference
from epp.discovery.kubernetes.access import User
from epp.endpoints import EndpointSpec
from epp.router import Router, RouterSettings
from epp.scheduling import default_profile

STEADY_AFTER_S = 3.0
"""After the first set: the changes have begun."""

_MIB = 1024 * 1024


class _Table:
    """A router's table, which takes what a source publishes."""

    def __init__(self) -> None:
        self._router = Router(default_profile(), RouterSettings(), np.random.default_rng(1))
        self.sets = 0
        self.filled = asyncio.Event()
        self.delays_s: dict[str, float] = {}

    def publish(self, endpoints: Sequence[EndpointSpec]) -> None:
        self.sets += 1
        self.filled.set()
        self._router.replace_endpoints(endpoints, time.monotonic())
        for one in endpoints:
            if one.name == "probe-rank-0" and one.labels["at"] not in self.delays_s:
                self.delays_s[one.labels["at"]] = time.monotonic() - float(one.labels["at"])


async def main() -> int:
    """Prints what was measured."""
    flags = argparse.ArgumentParser(prog="python -m bench.kubernetes", description="Measure what watching costs.")
    flags.add_argument("--pods", type=int, default=2000)
    flags.add_argument("--per-s", type=float, default=100.0, help="changes (default: %(default)g)")
    flags.add_argument("--seconds", type=float, default=15.0)
    chosen = flags.parse_args()
    for flip in (False, True):
        await _measure(chosen, flip=flip)
    return 0


async def _measure(chosen: argparse.Namespace, *, flip: bool) -> None:
    sizes = (f"--pods={chosen.pods}", f"--per-s={chosen.per_s}", f"--seconds={chosen.seconds}")
    command = (sys.executable, "-m", "bench.kubernetes.churn", *sizes, *(("--flip",) if flip else ()))
    server = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert server.stdout is not None
        url, token = (await server.stdout.readline()).decode().split()
        table, before = _Table(), rss_bytes(os.getpid())
        source = KubernetesSource(PoolReference("llama", "prod"), Access(url, user=User(token=token), source="bench"))
        begun = time.monotonic()
        watching = asyncio.create_task(source.run(table.publish))
        await table.filled.wait()
        first_s = time.monotonic() - begun
        await asyncio.sleep(STEADY_AFTER_S)
        usage = [(_cpu_s(), time.monotonic(), table.sets)]
        await asyncio.sleep(chosen.seconds - STEADY_AFTER_S)
        usage.append((_cpu_s(), time.monotonic(), table.sets))
        grown = rss_bytes(os.getpid()) - before
        await server.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    ((cpu_s, elapsed_s, sets),) = [tuple(b - a for a, b in zip(*both, strict=True)) for both in pairwise(usage)]
    delays_ms = sorted(delay * 1e3 for delay in table.delays_s.values())
    print(
        f"{chosen.pods} pods, {chosen.per_s:g} changes/s, {'all of readiness' if flip else 'none of readiness'}: "
        f"{cpu_s / elapsed_s:.3f} core, {sets / elapsed_s:.1f} sets/s, {grown / _MIB:+.0f} MiB; first set after "
        f"{first_s:.2f} s; a change is in the table after {delays_ms[0]:.0f} to {delays_ms[-1]:.0f} ms"
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

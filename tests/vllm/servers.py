"""Real vLLM servers on CPU, each a process, on addresses that nobody else uses."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientError, ClientSession

from tests.envoy.world import own_host
from tools.vllm_env import VllmEnvironment

__all__ = ["BLOCKS", "BLOCK_SIZE", "MAX_BATCH", "MAX_TOKENS", "MODEL", "START_S", "VllmServer"]

MODEL = "tiny"
BLOCK_SIZE = 32
"""Tokens; on CPU a multiple of 32."""
BLOCKS = 400
MAX_TOKENS = 4096
"""Of a prompt and its answer."""
MAX_BATCH = 4

START_S = 300.0
"""Alone on two cores a start takes 20 s, nearly all of it imports."""

ENVIRONMENT = {
    # It asks nobody anything, and its sockets stay on this machine.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    # One process and one thread per server, and little memory.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Adapters can be loaded while it runs.
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
}


@dataclass
class VllmServer:
    """A server with the base model and the adapters a and b. `port` on a loopback address of this process."""

    environment: VllmEnvironment
    port: int
    log: Path
    host: str = field(default_factory=own_host)
    _process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def start(self) -> None:
        """Returns when it is healthy."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self.environment.python,
                *("-m", "vllm.entrypoints.openai.api_server", *self._options()),
                env={**os.environ, **ENVIRONMENT},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with asyncio.timeout(START_S), ClientSession() as session:
            while not await self._healthy(session):
                assert self._process.returncode is None, self.log.read_text()[-3000:]
                await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """It is gone without a word, with what it started."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def gauge(self, session: ClientSession, name: str) -> float:
        """A metric as the server itself shows it, summed over its series."""
        async with session.get(f"{self.url}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    async def load_adapter(self, session: ClientSession, name: str, folder: Path) -> None:
        """Makes an adapter known to this server."""
        body = {"lora_name": name, "lora_path": str(folder)}
        async with session.post(f"{self.url}/v1/load_lora_adapter", json=body) as reply:
            assert reply.status == 200, await reply.text()

    async def unload_adapter(self, session: ClientSession, name: str) -> None:
        """The server no longer knows it."""
        async with session.post(f"{self.url}/v1/unload_lora_adapter", json={"lora_name": name}) as reply:
            assert reply.status == 200, await reply.text()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def _healthy(self, session: ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/health") as reply:
                return reply.status == 200
        except ClientError:
            return False

    def _options(self) -> list[str]:
        options: dict[str, Any] = {
            "model": self.environment.model,
            "served-model-name": MODEL,
            "host": self.host,
            "port": self.port,
            "dtype": "float32",  # bfloat16 kills the engine on machines with AMX when the first prompt has one token
            "distributed-executor-backend": "uni",
            "block-size": BLOCK_SIZE,
            "num-gpu-blocks-override": BLOCKS,
            "max-model-len": MAX_TOKENS,
            "max-num-seqs": MAX_BATCH,
            "max-loras": 2,
            "max-lora-rank": 8,
        }
        adapters = [f"{name}={self.environment.adapter(name)}" for name in "ab"]
        return [
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
            *("--enforce-eager", "--enable-prompt-tokens-details", "--enable-lora", "--lora-modules", *adapters),
        ]

"""A real vLLM on CPU: measured, then predicted on runs that the prediction has not seen."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp
from rich.console import Console

from bench.compare.processes import ContestError, Started, free_ports, started
from bench.http.player import Target
from bench.http.playing import Plan, Played, play
from bench.http.results import Labels
from bench.validation.calibration import Decode, Prefill, cost_of, fit
from bench.validation.pairs import as_bytes, latencies_of, simulated, with_other_texts
from bench.validation.results import Pair, Vllm, this_machine
from bench.validation.wire import DIRECTLY
from epp.simulator.scenario import Scenario, SimulatedPod
from epp.simulator.scheduler import EngineSettings
from epp.workloads.generators import generated
from epp.workloads.types import Api, Call, Segment, Workload
from tools.vllm_env import VllmEnvironment, environment

__all__ = ["available", "measure_vllm"]

MODEL = "model"
MAKER = Path(__file__).with_name("vllm_model.py")
START_S = 300.0

ENGINE = EngineSettings(
    block_size=32, num_gpu_blocks=400, max_num_seqs=16, max_num_batched_tokens=1024, max_model_len=2048
)

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""It asks nobody anything, and computes with one thread."""

PROMPTS = (16, 64, 128, 256, 512, 768, 1000, 1500)
BATCHES = (1, 2, 4, 8, 16)
CONTEXTS = (32, 512)
ROUNDS = 3
"""All of these, so many times; medians count."""

DECODED = 48
"""Tokens of each answer while decode steps are measured."""

UNSEEN = {
    "Poisson arrivals, mixed lengths": (
        "independent:calls=70,rate_per_s=0.9,prompt_tokens=250,output_tokens=40,spread=0.6"
    ),
    "shared system prompts": (
        "tenants:calls=70,rate_per_s=1.1,tenants=4,system_tokens=500,prompt_tokens=80,output_tokens=40,spread=0.6"
    ),
    "eight arrivals per second": ("independent:calls=40,rate_per_s=8,prompt_tokens=120,output_tokens=50,spread=0.5"),
}
"""Workloads to predict."""

SEED = 1

_ids = count(2**61)
"""Of segments: none is ever measured twice, so nothing is cached."""


def available() -> bool:
    """Whether the environment with the real vLLM is there."""
    return environment().complete


async def measure_vllm(console: Console) -> Vllm:
    """Starts a server, measures, predicts; some nine minutes. Raises ContestError."""
    machine, found = this_machine(), environment()
    with TemporaryDirectory(prefix="epp-validation-") as name:
        folder = Path(name)
        await _make_model(found, folder / "model")
        async with _server(found, folder) as url:
            target = Target(url, MODEL, run_id="validation")
            await _send(_prompts(PROMPTS[:3]), target, console, clients=1)  # its first steps are slow
            measured = await _measurements(target, console, ROUNDS)
            calibration = fit(measured)
            scenario = Scenario((SimulatedPod("vllm", ENGINE, cost_of(calibration)),), DIRECTLY)
            pairs = [await _pair(number, scenario, target, console) for number in range(len(UNSEEN))]
            again = await _measurements(target, console, 1)
    ratios = [after.seconds / before.seconds for before, after in zip(measured, again, strict=True)]
    return Vllm(machine, _version(found), calibration, pairs, median(ratios) - 1)


async def _pair(number: int, scenario: Scenario, target: Target, console: Console) -> Pair:
    title, spec = list(UNSEEN.items())[number]
    workload = as_bytes(generated(spec, SEED + number))  # one seed gives one text to all that share nothing
    played = await _send(workload, target, console)
    load = os.getloadavg()[0]
    again = await _send(with_other_texts(workload), target, console)
    model = simulated(workload, scenario, "random")
    return Pair(title, latencies_of(played.run), model, load, played.effort.late_p99_s, latencies_of(again.run))


async def _measurements(target: Target, console: Console, rounds: int) -> list[Prefill | Decode]:
    """Medians over the rounds, each of which measures everything in an order of its own."""
    rng = random.Random(SEED)
    prefills: dict[int, list[float]] = {length: [] for length in PROMPTS}
    decodes: dict[tuple[int, int], list[float]] = {(batch, context): [] for context in CONTEXTS for batch in BATCHES}
    for _ in range(rounds):
        played = await _send(_prompts(rng.sample(PROMPTS, len(PROMPTS))), target, console, clients=1)
        for record in played.records:
            prefills[record.reply.prompt_tokens].append(record.reply.first_s - record.sent_s)
        for batch, context in rng.sample(sorted(decodes), len(decodes)):
            decodes[batch, context].append(await _step_s(batch, context, target, console))
    budget = ENGINE.max_num_batched_tokens
    return [
        *(Prefill(length, -(-length // budget), median(seconds)) for length, seconds in prefills.items()),
        *(Decode(batch, context + DECODED / 2, median(each)) for (batch, context), each in decodes.items()),
    ]


async def _step_s(batch: int, context: int, target: Target, console: Console) -> float:
    """What a step takes in which so many equal sequences decode.

    Their prompts are computed beforehand, so that all begin within a step or two. Means of whole answers count, since a
    server that is late sends two tokens at once.
    """
    prompts = [Segment(next(_ids), context) for _ in range(batch)]
    await _send(_workload(prompts, 1), target, console, clients=1)
    played = await _send(_workload(prompts, DECODED), target, console)
    return median((one.reply.end_s - one.reply.first_s) / (DECODED - 1) for one in played.records)


def _prompts(lengths: Sequence[int]) -> Workload:
    """Prompts that share nothing."""
    return _workload([Segment(next(_ids), length) for length in lengths], 1)


def _workload(prompts: Sequence[Segment], answer_tokens: int) -> Workload:
    """Prompts of bytes, all due at once."""
    calls = (Call(0.0, (prompt,), Segment(next(_ids), answer_tokens), api=Api.COMPLETIONS) for prompt in prompts)
    return Workload("calibration", tuple(calls), bytes_per_token=1.0)


async def _send(workload: Workload, target: Target, console: Console, clients: int | None = None) -> Played:
    """Raises ContestError when a call fails."""
    played = await play(Plan(workload, Labels("vLLM"), clients), target, console)
    for record in played.records:
        if record.reply.failure.value:
            raise ContestError(f"vLLM: call {record.index} failed: {record.reply.failure.value}: {record.reply.detail}")
    return played


async def _make_model(found: VllmEnvironment, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(found.python), str(MAKER), str(folder), stderr=subprocess.DEVNULL
    )
    if await process.wait():
        raise ContestError(f"the model could not be made; see: {found.python} {MAKER} FOLDER")


@asynccontextmanager
async def _server(found: VllmEnvironment, folder: Path) -> AsyncIterator[str]:
    """A server that answers: its URL."""
    (port,) = free_ports(1)
    options = {
        "model": folder / "model",
        "served-model-name": MODEL,
        "host": "127.0.0.1",
        "port": port,
        "dtype": "float32",
        "distributed-executor-backend": "uni",
        "block-size": ENGINE.block_size,
        "num-gpu-blocks-override": ENGINE.num_gpu_blocks,
        "max-num-seqs": ENGINE.max_num_seqs,
        "max-num-batched-tokens": ENGINE.max_num_batched_tokens,
        "max-model-len": ENGINE.max_model_len,
        "override-generation-config": '{"temperature": 0}',
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ("--enforce-eager", "--enable-prompt-tokens-details")
    settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    command = ["env", *settings, str(found.python), "-m", "vllm.entrypoints.openai.api_server", *words, *flags]
    async with started("vLLM", command, folder / "vllm.log") as running:
        url = f"http://127.0.0.1:{port}"
        await _wait_healthy(url, running)
        yield url


async def _wait_healthy(url: str, running: Started) -> None:
    try:
        async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
            while True:
                running.check()
                try:
                    async with session.get(f"{url}/health") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise running.failure(f"not healthy within {START_S:.0f} s") from None


def _version(found: VllmEnvironment) -> str:
    code = "from importlib.metadata import version; print(version('vllm-cpu'))"
    return subprocess.run([str(found.python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()

"""The engine beside closed forms: settings that make it exactly the queue of a formula, and what it then does.

Each case runs once per seed; seeds are independent, so their spread gives the interval of the mean. Prompts share
nothing and no blocks are hashed, but where caching is the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.validation import queues
from bench.validation.alone import Served, play_alone
from bench.validation.results import ClosedForm
from epp.reports.statistics import estimate
from epp.simulator.blocks import BlockHash
from epp.simulator.costs import LinearCost
from epp.simulator.engine import Engine
from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import RequestId, SimRequest

__all__ = ["CASES", "Case", "measure"]

COST = LinearCost(arrival_s=0.0)
"""The default calibration, with requests in the queue as soon as they arrive."""

TOKEN_COST = LinearCost(
    decode_context_token_s=0.0, prefill_token_s=COST.decode_seq_s, prefill_attention_s=0.0, arrival_s=0.0
)
"""Each token costs the same: a sequence's first one, of a prompt of one token, and those that follow."""

TOGETHER = replace(COST, arrival_s=0.001)
"""Requests that come at one time reach the queue at one time: the engine does not begin with the first of them."""

ONE = EngineSettings(max_num_seqs=1, enable_prefix_caching=False)
"""One sequence at a time, the others wait."""

MANY = EngineSettings(max_num_seqs=4096, enable_prefix_caching=False)

WARM_UP = 0.1
"""Share of the requests, the first ones, that do not count: they met an empty engine."""


@dataclass(frozen=True, slots=True)
class Case:
    """One formula and the engine that must meet it."""

    name: str
    formula: str
    unit: str
    expected: float
    simulated: Callable[[int, int], float]
    """What an engine does with a seed and a number of requests."""
    random: bool = True
    """False: without chance, so that one run says all."""
    share: float = 1.0
    """Of the requests per seed that others get: some take an engine longer to compute."""


def measure(case: Case, seeds: Sequence[int], calls: int) -> ClosedForm:
    """Runs a case once per seed, with that many requests in each."""
    runs = seeds if case.random else seeds[:1]
    found = estimate([case.simulated(seed, int(case.share * calls)) for seed in runs])
    half_width = found.half_width if case.random else 0.0
    return ClosedForm(case.name, case.formula, case.unit, case.expected, found.mean, half_width, len(runs))


def service_s(prompt_tokens: int, output_tokens: int = 0, budget_tokens: int = ONE.max_num_batched_tokens) -> float:
    """How long a sequence takes alone: its prompt in chunks, then a step per token but the first."""
    steps = -(-prompt_tokens // budget_tokens)
    decodes = max(output_tokens - 1, 0)
    context = decodes * prompt_tokens + decodes * (decodes - 1) / 2
    prefill = COST.prefill_token_s * prompt_tokens + COST.prefill_attention_s * prompt_tokens**2
    decode = decodes * COST.decode_seq_s + context * COST.decode_context_token_s
    return (steps + decodes) * COST.step_s + prefill + decode


def _poisson(rng: np.random.Generator, rate_per_s: float, calls: int) -> NDArray[np.float64]:
    return np.cumsum(rng.exponential(1 / rate_per_s, calls))


def _request(number: int, prompt_tokens: int, output_tokens: int, hashes: Sequence[int] = ()) -> SimRequest:
    return SimRequest(RequestId(number), int(prompt_tokens), int(output_tokens), [BlockHash(one) for one in hashes])


def _kept(served: Served) -> list[int]:
    """Requests that count."""
    return list(range(int(WARM_UP * len(served.e2e_s)), len(served.e2e_s)))


def _wait(
    settings: EngineSettings, rate_per_s: float, kinds: Sequence[tuple[float, int, int]], seed: int, calls: int
) -> float:
    """Mean time in the queue of an engine that serves one at a time. `kinds`: probability, prompt, output."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(kinds), size=calls, p=[share for share, _, _ in kinds])
    requests = [_request(number, *kinds[kind][1:]) for number, kind in enumerate(chosen)]
    served = play_alone(Engine(settings, cost=COST), zip(_poisson(rng, rate_per_s, calls), requests, strict=True))
    alone = [service_s(prompt, output, settings.max_num_batched_tokens) for _, prompt, output in kinds]
    return float(np.mean([served.e2e_s[number] - alone[chosen[number]] for number in _kept(served)]))


def _queue(name: str, load: float, kinds: Sequence[tuple[float, int, int]], settings: EngineSettings = ONE) -> Case:
    alone = [service_s(prompt, output, settings.max_num_batched_tokens) for _, prompt, output in kinds]
    shares = [share for share, _, _ in kinds]
    rate = load / sum(share * each for share, each in zip(shares, alone, strict=True))
    expected = queues.mean_wait(rate, alone, shares)
    return Case(name, "Pollaczek-Khinchine", "s", expected, partial(_wait, settings, rate, tuple(kinds)))


def _decode_batch(batch: int, _seed: int, _calls: int) -> float:
    """Time per token after the first of sequences that decode together."""
    prompt, output = 500, 101
    arrivals = [(0.0, _request(number, prompt, output)) for number in range(batch)]
    served = play_alone(Engine(EngineSettings(max_num_batched_tokens=65_536), cost=TOGETHER), arrivals)
    return (served.e2e_s[0] - served.first_s[0]) / (output - 1)


def _decode_case(batch: int) -> Case:
    context = 500 + (101 - 2) / 2  # while the 100 tokens come, the mean of what a sequence looks back at
    expected = COST.step_s + batch * (COST.decode_seq_s + context * COST.decode_context_token_s)
    formula = "step + n (sequence + context)"
    return Case(f"time per token, {batch} decode", formula, "s", expected, partial(_decode_batch, batch), random=False)


def _token_step_s(number: int) -> float:
    return TOKEN_COST.step_s + number * TOKEN_COST.decode_seq_s


def _time_in_system(
    settings: EngineSettings,
    rate_per_s: float,
    lengths: Callable[[np.random.Generator, int], NDArray[np.int64]],
    seed: int,
    calls: int,
) -> float:
    """Mean time from arrival to the last token of prompts of one token."""
    rng = np.random.default_rng(seed)
    requests = [_request(number, 1, length) for number, length in enumerate(lengths(rng, calls).tolist())]
    served = play_alone(Engine(settings, cost=TOKEN_COST), zip(_poisson(rng, rate_per_s, calls), requests, strict=True))
    return float(np.mean([served.e2e_s[number] for number in _kept(served)]))


MEAN_LENGTH = 400
"""Tokens of an answer."""


def _equal(_rng: np.random.Generator, calls: int) -> NDArray[np.int64]:
    return np.full(calls, MEAN_LENGTH)


def _two_lengths(rng: np.random.Generator, calls: int) -> NDArray[np.int64]:
    return rng.choice(np.array([100, 4 * MEAN_LENGTH]), size=calls, p=[0.8, 0.2])


def _geometric(rng: np.random.Generator, calls: int) -> NDArray[np.int64]:
    return np.minimum(rng.geometric(1 / MEAN_LENGTH, calls), LONGEST)


LONGEST = 8_000
"""Tokens: a geometric length is longer once in 500 million."""

PLACES = 32
"""Sequences for which a cache has room."""

FEW_BLOCKS = EngineSettings(
    block_size=LONGEST + 1,
    num_gpu_blocks=PLACES + 1,
    max_num_seqs=4096,
    max_model_len=LONGEST + 1,
    enable_prefix_caching=False,
)
"""A block for each sequence, whatever its length."""


def _sharing(name: str, lengths: Callable[[np.random.Generator, int], NDArray[np.int64]]) -> Case:
    tokens_per_s = 0.7 / TOKEN_COST.decode_seq_s
    rate = tokens_per_s / MEAN_LENGTH
    expected = queues.mean_present(tokens_per_s, _token_step_s) / rate
    return Case(
        name, "generalised processor sharing", "s", expected, partial(_time_in_system, MANY, rate, lengths), share=0.4
    )


def _limited() -> Case:
    tokens_per_s = 0.8 * PLACES / _token_step_s(PLACES)
    rate = tokens_per_s / MEAN_LENGTH
    expected = queues.mean_present(tokens_per_s, _token_step_s, PLACES) / rate
    name = f"time in system, KV cache for {PLACES}, geometric lengths"
    return Case(
        name, "birth and death", "s", expected, partial(_time_in_system, FEW_BLOCKS, rate, _geometric), share=0.4
    )


def _most_running(_seed: int, _calls: int) -> float:
    """Sequences at once that need 7 blocks each, with 90 blocks."""
    settings = EngineSettings(num_gpu_blocks=91, max_model_len=1440, enable_prefix_caching=False)
    arrivals = [(0.0, _request(number, 100, 12)) for number in range(50)]
    return float(play_alone(Engine(settings, cost=COST), arrivals).most_running)


SATURATED_BATCH, SATURATED_PROMPT, SATURATED_OUTPUT = 64, 400, (50, 350)


def _saturated(seed: int, calls: int) -> float:
    """Sequences per second while there is always one more to take in."""
    outputs = np.random.default_rng(seed).integers(SATURATED_OUTPUT[0], SATURATED_OUTPUT[1] + 1, calls)
    settings = EngineSettings(max_num_seqs=SATURATED_BATCH, enable_prefix_caching=False)
    arrivals = [(0.0, _request(number, SATURATED_PROMPT, output)) for number, output in enumerate(outputs.tolist())]
    ends = np.sort(list(play_alone(Engine(settings, cost=COST), arrivals).e2e_s.values()))
    first, last = int(0.2 * calls), int(0.8 * calls)
    return float((last - first) / (ends[last] - ends[first]))


def _saturated_case() -> Case:
    lengths = np.arange(SATURATED_OUTPUT[0], SATURATED_OUTPUT[1] + 1)
    work = np.mean([service_s(SATURATED_PROMPT, length) - length * COST.step_s for length in lengths.tolist()])
    expected = queues.saturated_per_s(SATURATED_BATCH, COST.step_s, float(lengths.mean()), float(work))
    return Case("throughput, batch of 64 always full", "n / (E[L] step + n E[work])", "1/s", expected, _saturated)


CACHED_BLOCKS, DOCUMENTS = 200, 1000
_ZIPF = (1 / np.arange(1, DOCUMENTS + 1) ** 0.8) / np.sum(1 / np.arange(1, DOCUMENTS + 1) ** 0.8)


def _hits(seed: int, calls: int) -> float:
    """Share of prompts, a block of some document and one token more, that find the block."""
    chosen = np.random.default_rng(seed).choice(DOCUMENTS, size=calls, p=_ZIPF).tolist()
    settings = EngineSettings(num_gpu_blocks=CACHED_BLOCKS + 1, max_model_len=32)
    arrivals = [(float(number), _request(number, 17, 0, [document + 1])) for number, document in enumerate(chosen)]
    served = play_alone(Engine(settings, cost=COST), arrivals)
    return float(np.mean([served.cached_tokens[number] > 0 for number in _kept(served)]))


CASES = (
    _queue("wait, M/D/1 at 50 %", 0.5, [(1.0, 1000, 0)]),
    _queue("wait, M/D/1 at 80 %", 0.8, [(1.0, 1000, 0)]),
    _queue("wait, M/D/1 at 90 %", 0.9, [(1.0, 1000, 0)]),
    _queue(
        "wait, M/D/1 at 80 %, prompts of 5 chunks",
        0.8,
        [(1.0, 1000, 0)],
        EngineSettings(max_num_seqs=1, max_num_batched_tokens=224, enable_prefix_caching=False),
    ),
    _queue("wait, M/D/1 at 80 %, answers of 100 tokens", 0.8, [(1.0, 1000, 100)]),
    _queue("wait, M/G/1 at 70 %, prompts of 500 and 6,000", 0.7, [(0.9, 500, 0), (0.1, 6000, 0)]),
    _decode_case(1),
    _decode_case(8),
    _decode_case(64),
    _sharing("time in system, answers of 400 tokens", _equal),
    _sharing("time in system, answers of 100 and 1,600", _two_lengths),
    _limited(),
    Case("sequences at once, of 7 blocks in 90", "floor(90 / 7)", "", 12.0, _most_running, random=False),
    _saturated_case(),
    Case(
        "prompts with a hit, 1,000 documents, 200 blocks",
        "Che's approximation",
        "%",
        100 * queues.hit_share(_ZIPF.tolist(), CACHED_BLOCKS),
        lambda seed, calls: 100 * _hits(seed, calls),
    ),
)
"""All of them."""

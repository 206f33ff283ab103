"""What one simulated engine costs: `python -m bench.simulator.engine`.

Half a request per second of 12,000 prompt tokens, of which one of ten shared prefixes is half, and 300 tokens of
output, on a cache of 262,128 tokens that has been full for long. The work of preparing requests and hashes is not
counted: a simulation does it once for all that it compares.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epp.simulator import Engine, EngineSettings, RequestId, SimRequest
from epp.simulator.blocks import BlockHash

PROMPT_TOKENS = 12_000
OUTPUT_TOKENS = 300
PREFIXES = 10
BLOCK_SIZE = 16

Begin = Callable[[Engine, float], float | None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request and when it comes."""

    at: float
    request: SimRequest


def arrivals(count: int, per_s: float, seed: int) -> list[Arrival]:
    """Poisson arrivals, from time 0 on."""
    rng = random.Random(seed)
    shared = PROMPT_TOKENS // BLOCK_SIZE // 2
    prefixes = [_hashes(rng, shared) for _ in range(PREFIXES)]
    made, at = [], 0.0
    for number in range(count):
        at += rng.expovariate(per_s)
        own = _hashes(rng, (PROMPT_TOKENS + OUTPUT_TOKENS) // BLOCK_SIZE - shared)
        hashes = rng.choice(prefixes) + own
        made.append(Arrival(at, SimRequest(RequestId(number), PROMPT_TOKENS, OUTPUT_TOKENS, hashes)))
    return made


def _hashes(rng: random.Random, count: int) -> list[BlockHash]:
    return [BlockHash(rng.getrandbits(64)) for _ in range(count)]


def play(engine: Engine, trace: Sequence[Arrival], begin: Begin) -> int:
    """Let all of them come and go. Returns the number of events."""
    events, now, position = 0, trace[0].at, 0
    while True:
        if not engine.stepping:
            begin(engine, now)
        due = engine.next_event_at()
        arriving = trace[position] if position < len(trace) else None
        if arriving is not None and (due is None or arriving.at < due):
            now = arriving.at
            engine.submit(arriving.request, now)
            position += 1
        elif due is not None:
            now = due
            engine.end_step(now)
        else:
            return events
        events += 1


def measure(name: str, begin: Begin, trace: Sequence[Arrival], warm_up: int) -> str:
    """A line for a way to drive the engine."""
    engine = Engine(EngineSettings(block_size=BLOCK_SIZE))
    play(engine, trace[:warm_up], begin)
    before = engine.metrics(trace[warm_up].at).counters
    begun_s = time.process_time()
    events = play(engine, trace[warm_up:], begin)
    cpu_s = time.process_time() - begun_s
    count, span_s = len(trace) - warm_up, trace[-1].at - trace[warm_up].at
    counters = engine.counters(trace[-1].at)
    hits = counters.cached_prompt_tokens - before.cached_prompt_tokens
    share = hits / (counters.prompt_tokens - before.prompt_tokens)
    return (
        f"{name:10} {cpu_s / count * 1e6:8.0f} us per request {span_s / cpu_s:10,.0f} x real time "
        f"{events / count:8.1f} events per request {share:6.0%} hits"
    )


def main() -> None:
    """Print what both ways of driving cost."""
    parser = argparse.ArgumentParser(description="Measure what one simulated engine costs.")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--per-s", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    warm_up = 200
    trace = arrivals(warm_up + chosen.requests, chosen.per_s, chosen.seed)
    print(measure("runs", Engine.begin_run, trace, warm_up))
    print(measure("steps", Engine.begin_step, trace, warm_up))


if __name__ == "__main__":
    main()

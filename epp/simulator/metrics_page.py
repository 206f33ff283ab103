"""The page `/metrics` of a simulated server: names, types, labels and help texts of vLLM 0.32.

Labels stand in alphabetical order, values are floats, and each counter and histogram has a gauge `_created` beside it.
Two traps are kept: `lora_requests_info` shows every set of adapters that ever ran, of which the one with the largest
value counts, and tells those that run as waiting too; and it never names an adapter that is resident but idle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import EngineMetrics, Histogram

__all__ = ["MetricsPage"]

_HELP: Mapping[str, str] = MappingProxyType(
    {
        "process_start_time_seconds": "Start time of the process since unix epoch in seconds.",
        "vllm:num_requests_running": "Number of requests in model execution batches.",
        "vllm:num_requests_waiting": "Number of requests waiting to be processed.",
        "vllm:num_requests_waiting_by_reason": (
            "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; "
            "'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). "
            "Sum of all reasons equals vllm:num_requests_waiting."
        ),
        "vllm:engine_sleep_state": (
            "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; "
            "weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2."
        ),
        "vllm:kv_cache_usage_perc": "KV-cache usage. 1 means 100 percent usage.",
        "vllm:prefix_cache_queries": "Prefix cache queries, in terms of number of queried tokens.",
        "vllm:prefix_cache_hits": "Prefix cache hits, in terms of number of cached tokens.",
        "vllm:num_preemptions": "Cumulative number of preemption from the engine.",
        "vllm:prompt_tokens": "Number of prefill tokens processed.",
        "vllm:prompt_tokens_cached": "Number of cached prompt tokens (local + external).",
        "vllm:generation_tokens": "Number of generation tokens processed.",
        "vllm:request_success": "Count of successfully processed requests.",
        "vllm:admission_rejections": "Number of admission attempts rejected by a queue limit, by reason.",
        "vllm:time_to_first_token_seconds": "Histogram of time to first token in seconds.",
        "vllm:inter_token_latency_seconds": "Histogram of inter-token latency in seconds.",
        "vllm:e2e_request_latency_seconds": "Histogram of e2e request latency in seconds.",
        "vllm:lora_requests_info": "Running stats on lora requests.",
        "vllm:cache_config_info": "Information of the LLMEngine CacheConfig",
    }
)

_FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")

_Labels = Mapping[str, str]
_Samples = Sequence[tuple[_Labels, float]]


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Renders the pages of one server."""

    model: str
    settings: EngineSettings
    epoch_offset_s: float
    """What must be added to the engine's time to get Unix seconds."""
    shows_start_time: bool = True
    """See PodSettings."""

    def render(self, metrics: EngineMetrics) -> bytes:
        """The page for a state of the engine."""
        created = metrics.started_at + self.epoch_offset_s
        lines = [
            *(_gauge("process_start_time_seconds", [({}, created)]) if self.shows_start_time else ()),
            *self._load(metrics),
            *self._counters(metrics, created),
            *self._histograms(metrics, created),
            *self._adapters(metrics),
            *_gauge("vllm:cache_config_info", [(self._cache_config(), 1.0)]),
        ]
        return ("\n".join(lines) + "\n").encode()

    def _load(self, metrics: EngineMetrics) -> Iterator[str]:
        engine = self._engine()
        reasons = {"capacity": metrics.waiting_capacity, "deferred": metrics.waiting_deferred}
        states = {"awake": not metrics.asleep, "weights_offloaded": metrics.asleep, "discard_all": False}
        yield from _gauge("vllm:num_requests_running", [(engine, metrics.running)])
        yield from _gauge("vllm:num_requests_waiting", [(engine, metrics.waiting)])
        yield from _gauge(
            "vllm:num_requests_waiting_by_reason",
            [(self._engine(reason=reason), number) for reason, number in reasons.items()],
        )
        yield from _gauge(
            "vllm:engine_sleep_state", [(self._engine(sleep_state=state), on) for state, on in states.items()]
        )
        yield from _gauge("vllm:kv_cache_usage_perc", [(engine, metrics.kv_usage)])

    def _counters(self, metrics: EngineMetrics, created: float) -> Iterator[str]:
        counted, engine = metrics.counters, self._engine()
        finished = {finish.value: number for finish, number in counted.finished.items()}
        rejected = {"max_num_queued_reqs": counted.busy_rejections, "max_num_queued_tokens": 0}
        yield from _counter("vllm:prefix_cache_queries", [(engine, counted.prefix_queries_tokens)], created)
        yield from _counter("vllm:prefix_cache_hits", [(engine, counted.prefix_hits_tokens)], created)
        yield from _counter("vllm:num_preemptions", [(engine, counted.preemptions)], created)
        yield from _counter("vllm:prompt_tokens", [(engine, counted.prompt_tokens)], created)
        yield from _counter("vllm:prompt_tokens_cached", [(engine, counted.cached_prompt_tokens)], created)
        yield from _counter("vllm:generation_tokens", [(engine, counted.generation_tokens)], created)
        yield from _counter(
            "vllm:request_success",
            [(self._engine(finished_reason=reason), finished.get(reason, 0)) for reason in _FINISHED_REASONS],
            created,
        )
        yield from _counter(
            "vllm:admission_rejections",
            [({"model_name": self.model, "reason": reason}, number) for reason, number in rejected.items()],
            created,
        )

    def _histograms(self, metrics: EngineMetrics, created: float) -> Iterator[str]:
        counted = metrics.counters
        yield from self._histogram("vllm:time_to_first_token_seconds", counted.ttft_s, created)
        yield from self._histogram("vllm:inter_token_latency_seconds", counted.inter_token_s, created)
        yield from self._histogram("vllm:e2e_request_latency_seconds", counted.e2e_s, created)

    def _histogram(self, name: str, histogram: Histogram, created: float) -> Iterator[str]:
        yield from _family(name, "histogram", _HELP[name])
        below = 0
        for bound, number in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            below += number
            yield _sample(f"{name}_bucket", self._engine(le=bound), below)
        yield _sample(f"{name}_count", self._engine(), below)
        yield _sample(f"{name}_sum", self._engine(), histogram.sum)
        yield from _created(name, [self._engine()], created)

    def _adapters(self, metrics: EngineMetrics) -> Iterator[str]:
        max_lora = str(self.settings.max_loras)
        samples: list[tuple[_Labels, float]] = []
        for label_set in metrics.label_sets:
            names = ",".join(label_set.adapters)
            labels = {"max_lora": max_lora, "running_lora_adapters": names, "waiting_lora_adapters": names}
            samples.append((labels, label_set.last_seen + self.epoch_offset_s))
        if self.settings.max_loras:
            yield from _gauge("vllm:lora_requests_info", samples)

    def _engine(self, **labels: str) -> _Labels:
        return {"engine": "0", "model_name": self.model, **labels}

    def _cache_config(self) -> _Labels:
        settings = self.settings
        tokens = settings.num_gpu_blocks * settings.block_size
        config = {
            "block_size": settings.block_size,
            "cache_dtype": "auto",
            "effective_attention_block_size": settings.block_size,
            "enable_prefix_caching": settings.enable_prefix_caching,
            "engine": 0,
            "hash_block_size": None,
            "kv_cache_max_concurrency": tokens / settings.max_model_len,
            "kv_cache_size_tokens": tokens,
            "num_gpu_blocks": settings.num_gpu_blocks,
            "num_gpu_blocks_override": settings.num_gpu_blocks,
            "sliding_window": None,
        }
        return {name: str(value) for name, value in config.items()}


def _gauge(name: str, samples: _Samples) -> Iterator[str]:
    yield from _family(name, "gauge", _HELP[name])
    for labels, value in samples:
        yield _sample(name, labels, value)


def _counter(name: str, samples: _Samples, created: float) -> Iterator[str]:
    yield from _family(f"{name}_total", "counter", _HELP[name])
    for labels, value in samples:
        yield _sample(f"{name}_total", labels, value)
    yield from _created(name, [labels for labels, _ in samples], created)


def _created(name: str, labels: Sequence[_Labels], created: float) -> Iterator[str]:
    yield from _family(f"{name}_created", "gauge", _HELP[name])
    for each in labels:
        yield _sample(f"{name}_created", each, created)


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: _Labels, value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(labels[label])}"' for label in sorted(labels))
    return f"{name}{{{pairs}}} {float(value)!r}" if pairs else f"{name} {float(value)!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

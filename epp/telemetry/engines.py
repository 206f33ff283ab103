"""What each kind of model server calls the things that are scraped: presets, each name replaceable.

Names are those of the Go picker's `core-metrics-extractor`, so that its overrides can be taken over. A name is written
`vllm:num_requests_running` or, where one family holds several things, `family{label=value}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DEFAULT_ENGINE", "ENGINES", "ENGINE_LABELS", "CacheInfo", "LoraInfo", "MetricNames", "Series"]

_SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?", re.DOTALL)
_MATCH = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(\"[^\"\\]*\"|[^\s\"\\,]+)\s*")


@dataclass(frozen=True, slots=True)
class Series:
    """The series of a metric family whose labels have the given values."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Series:
        """From `name` or `name{label=value,...}`, values quoted or not. Raises ValueError."""
        whole = _SERIES.fullmatch(text.strip())
        if whole is None:
            raise ValueError(f"{text[:80]!r} is not a metric name, nor name{{label=value}}")
        labels = []
        for part in (whole[2] or "").split(",") if (whole[2] or "").strip() else ():
            label = _MATCH.fullmatch(part)
            if label is None:
                raise ValueError(f"{part[:80]!r} in {text[:80]!r} is not label=value")
            labels.append((label[1], label[2].strip('"')))
        return cls(whole[1], tuple(labels))

    def __str__(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}" if labels else self.name


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """An info metric whose labels describe the KV cache."""

    series: Series
    block_size: str
    """Label with the tokens per block."""
    blocks: str
    """Label with the number of blocks."""
    blocks_are_total: bool = False
    """Each engine's series counts the blocks of all engines behind the port: vLLM does so, seen with two."""
    tokens: str = ""
    """Label with the capacity in tokens of the series' own engine. Counts more than blocks: models that mix kinds of
    attention hold less than blocks times block size."""
    engine: str = ""
    """Label that tells engines apart, here and on `kv_usage`."""


@dataclass(frozen=True, slots=True)
class LoraInfo:
    """An info metric whose labels list adapters and whose value is the time of the last change."""

    series: Series
    running: str
    """Label with the adapters of running requests, separated by commas."""
    limit: str
    """Label with the number of adapters that can be resident."""


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Where a page says what. None: this kind of server does not say."""

    running: Series | None = None
    waiting: Series | None = None
    kv_usage: Series | None = None
    cache_info: CacheInfo | None = None
    block_size: Series | None = None
    """Gauge with the tokens per block, where there is no `cache_info`."""
    blocks: Series | None = None
    """Gauge with the number of blocks, likewise."""
    lora_info: LoraInfo | None = None
    awake: Series | None = None
    """Gauge that is 0 while the engine sleeps."""
    start_time: Series | None = Series("process_start_time_seconds")
    processed_tokens: tuple[Series, ...] = ()
    """Counters of prompt and output tokens, which begin anew with the server."""
    path: str = "/metrics"
    """Where the page is, unless settings say otherwise."""


def _series(text: str) -> Series:
    return Series.parse(text)


ENGINES: Mapping[str, MetricNames] = MappingProxyType(
    {
        "vllm": MetricNames(
            running=_series("vllm:num_requests_running"),
            waiting=_series("vllm:num_requests_waiting"),
            kv_usage=_series("vllm:kv_cache_usage_perc"),
            cache_info=CacheInfo(
                _series("vllm:cache_config_info"),
                block_size="block_size",
                blocks="num_gpu_blocks",
                blocks_are_total=True,
                tokens="kv_cache_size_tokens",
                engine="engine",
            ),
            lora_info=LoraInfo(_series("vllm:lora_requests_info"), running="running_lora_adapters", limit="max_lora"),
            awake=_series("vllm:engine_sleep_state{sleep_state=awake}"),
            processed_tokens=(_series("vllm:prompt_tokens_total"), _series("vllm:generation_tokens_total")),
        ),
        "sglang": MetricNames(
            running=_series("sglang:num_running_reqs"),
            waiting=_series("sglang:num_queue_reqs"),
            kv_usage=_series("sglang:token_usage"),
            cache_info=CacheInfo(_series("sglang:cache_config_info"), block_size="page_size", blocks="num_pages"),
            processed_tokens=(_series("sglang:prompt_tokens_total"), _series("sglang:generation_tokens_total")),
        ),
        "trtllm-serve": MetricNames(
            running=_series("trtllm_num_requests_running"),
            waiting=_series("trtllm_num_requests_waiting"),
            kv_usage=_series("trtllm_kv_cache_utilization"),
            block_size=_series("trtllm_kv_cache_tokens_per_block"),
            blocks=_series("trtllm_kv_cache_max_blocks"),
            path="/prometheus/metrics",
        ),
        "triton-tensorrt-llm": MetricNames(
            running=_series("nv_trt_llm_request_metrics{request_type=scheduled}"),
            waiting=_series("nv_trt_llm_request_metrics{request_type=waiting}"),
            kv_usage=_series("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}"),
            block_size=_series("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=tokens_per}"),
            blocks=_series("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=max}"),
        ),
        "triton": MetricNames(waiting=_series("nv_inference_pending_request_count")),
    }
)
"""Presets by engine type.

`trtllm-serve` answers at /metrics, too, with statistics of iterations in JSON. `triton` has no running requests: the Go
picker takes `nv_inference_exec_count` for them, which counts executions since the server started and so only grows.
"""

DEFAULT_ENGINE = "vllm"

ENGINE_LABELS = ("llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type")
"""Labels of an endpoint that name its engine type. The second is the Go picker's old name."""

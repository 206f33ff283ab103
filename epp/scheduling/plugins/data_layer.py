"""Parameters of the Go picker's plugins that are always on here, or are configured in another place of the settings.

They are read when a configuration file names them; nothing is made of them. What a parameter does here stands beside
it, "without effect" where it does nothing. Durations are texts as Go writes them: `500ms`, `10s`, `1m30s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from epp.scheduling.plugins.validation import at_least, given, more_than, named, seconds_of, within

__all__ = [
    "ApproxPrefixCacheProducer",
    "CoreMetricsExtractor",
    "CustomMetric",
    "EngineConfig",
    "FileDiscovery",
    "InflightLoadProducer",
    "MetricsDataSource",
    "MmEmbeddingsCacheProducer",
    "ModelsDataSource",
    "NoParameters",
    "SessionIdProducer",
    "TokenProducer",
]

Scheme = Literal["http", "https"]


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Of parsers, and of whatever else takes none."""


@dataclass(frozen=True, slots=True)
class _HttpSource:
    """What both sources of pages have."""

    scheme: Scheme = "http"
    """Of all that servers are asked."""
    path: str = "/metrics"
    """Of the page."""
    insecure_skip_verify: bool = True
    """Do not verify the server's certificate."""
    ca_cert_path: str = ""
    """PEM file to verify it with."""
    client_cert_path: str = ""
    """PEM file; together with the next."""
    client_key_path: str = ""
    """PEM file with its key."""
    interval: str = ""
    """Duration between two scrapes; empty: the flag's, or the default."""

    def __post_init__(self) -> None:
        given("path", self.path)
        if bool(self.client_cert_path) != bool(self.client_key_path):
            raise ValueError("clientCertPath and clientKeyPath go together; one of them is missing")
        if self.interval:
            more_than("interval", seconds_of("interval", self.interval), 0)

    @property
    def interval_s(self) -> float | None:
        """Seconds; None when it is not given."""
        return seconds_of("interval", self.interval) if self.interval else None


@dataclass(frozen=True, slots=True)
class ModelsDataSource(_HttpSource):
    """`models-data-source`: how each server's list of models is read."""

    path: str = "/v1/models"
    """Of the list."""


@dataclass(frozen=True, slots=True)
class MetricsDataSource(_HttpSource):
    """`metrics-data-source`: how each server's metrics page is read."""

    port: int = 0
    """Of the metrics page, when it is another than the endpoint's; 0: the same."""

    def __post_init__(self) -> None:
        _HttpSource.__post_init__(self)
        within("port", self.port, 0, 65535)


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """A metric that becomes an attribute of endpoints. Without effect: no plugin here reads attributes."""

    attribute_key: str
    """Name of the attribute."""
    metric_spec: str
    """The metric."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Metric names of one kind of server, as `family` or `family{label=value}`; empty: this kind does not say."""

    name: str
    """Of the kind."""
    queued_requests_spec: str = ""
    """Requests in the server's queue."""
    running_requests_spec: str = ""
    """Requests that it works on."""
    kv_usage_spec: str = ""
    """Share of its KV cache in use."""
    lora_spec: str = ""
    """Info metric with labels as vLLM's `lora_requests_info`."""
    cache_info_spec: str = ""
    """Info metric whose labels describe the KV cache."""
    cache_block_size_label_name: str = ""
    """Label with the tokens per block; empty: `block_size`."""
    cache_num_blocks_label_name: str = ""
    """Label with the number of blocks; empty: `num_gpu_blocks`."""
    cache_block_size_spec: str = ""
    """Gauge with the tokens per block, instead of the info metric."""
    cache_num_blocks_spec: str = ""
    """Gauge with the number of blocks, likewise."""
    custom_metrics: tuple[CustomMetric, ...] = ()
    """Without effect."""

    def __post_init__(self) -> None:
        given("name", self.name)


@dataclass(frozen=True, slots=True)
class CoreMetricsExtractor:
    """`core-metrics-extractor`: which kind of server an endpoint is, and what its metrics are called."""

    engine_label_key: str = "llm-d.ai/engine-type"
    """Label of an endpoint that names its kind."""
    default_engine: str = "vllm"
    """Kind of endpoints without the label."""
    engine_configs: tuple[EngineConfig, ...] = ()
    """Kinds beside the built-in ones, or instead of them."""


@dataclass(frozen=True, slots=True)
class FileDiscovery:
    """`file-discovery`: endpoints from a file."""

    path: str = ""
    """Required."""
    watch_file: bool = False
    """Take over changes of the file while running."""

    def __post_init__(self) -> None:
        given("path", self.path)


@dataclass(frozen=True, slots=True)
class ApproxPrefixCacheProducer:
    """`approx-prefix-cache-producer`: the prefix index."""

    auto_tune: bool = True
    """Take each server's capacity from its metrics, where they tell; false: `lruCapacityPerServer` for all."""
    block_size_tokens: int = 16
    """Tokens per block of `lruCapacityPerServer`. Blocks of the index are 256 bytes of prompt."""
    block_size: int = 0
    """Without effect. Deprecated."""
    max_prefix_blocks_to_match: int = 2048
    """Without effect: a match costs next to nothing however long it is; prompts count up to 16 MiB."""
    max_prefix_tokens_to_match: int = 131_072
    """Without effect, likewise."""
    lru_capacity_per_server: int = 31_250
    """Blocks that are remembered of a server whose capacity is not known."""

    def __post_init__(self) -> None:
        more_than("blockSizeTokens", self.block_size_tokens, 0)
        more_than("lruCapacityPerServer", self.lru_capacity_per_server, 0)

    @property
    def capacity_tokens(self) -> int:
        """Tokens that are remembered of a server whose capacity is not known."""
        return self.lru_capacity_per_server * self.block_size_tokens


@dataclass(frozen=True, slots=True)
class InflightLoadProducer:
    """`inflight-load-producer`: the ledger of requests and prompt tokens in flight, charged at the decision."""

    add_estimated_output_tokens: bool = False
    """Without effect: output is counted apart, as context, at the length that was learned for the model."""
    output_ratio: float = 1.5
    """Without effect, likewise."""
    max_estimated_output_tokens: int | None = None
    """Without effect, likewise."""
    prefix_match_info_producer_name: str = ""
    """Without effect: there is one prefix index."""
    sync_cross_replica_state: bool = True
    """Without effect: replicas see each other's load in scrapes."""

    def __post_init__(self) -> None:
        if self.max_estimated_output_tokens is not None:
            at_least("maxEstimatedOutputTokens", self.max_estimated_output_tokens, 0)


@dataclass(frozen=True, slots=True)
class TokenProducer:
    """`token-producer`: the length of prompts. Learned per model from the bytes that a token takes; nothing of the Go
    picker's backends is used.
    """

    model_name: str = ""
    """Without effect, as are the others."""
    estimate: Mapping[str, object] | None = None
    """How to guess from the length of the text."""
    vllm: Mapping[str, object] | None = None
    """A server that tokenizes."""
    uds_tokenizer_config: Mapping[str, object] | None = None
    """A tokenizer beside the picker."""

    def remarks(self) -> tuple[str, ...]:
        """What stands in for a tokenizer."""
        if self.vllm is None and self.uds_tokenizer_config is None:
            return ()
        return ("prompts are not tokenized: their length is learned per model, and prefixes are matched by bytes",)


@dataclass(frozen=True, slots=True)
class SessionIdProducer:
    """`session-id-producer`: where the session plugins find an id (`sessionIdConfig.sources`: header or cookie)."""

    header_name: str = ""
    """Where the session plugins look that say nothing else, or name an attribute. Neither this nor the next: the header
    `x-session-id`."""
    cookie_name: str = ""
    """The same, as a cookie."""
    lru_size: int = 1024
    """Without effect: the session plugins have a bound of their own."""
    ttl: str = "30m"
    """Without effect likewise: `evictionTtlSeconds`."""

    def __post_init__(self) -> None:
        if self.header_name and self.cookie_name:
            raise ValueError("headerName and cookieName are both given; a session id has one source")
        more_than("lruSize", self.lru_size, 0)
        more_than("ttl", seconds_of("ttl", self.ttl), 0)


@dataclass(frozen=True, slots=True)
class MmEmbeddingsCacheProducer:
    """`mm-embeddings-cache-producer`: part of `mm-embeddings-cache-scorer`, which takes the same parameter."""

    cache_size_in_mb_per_server: int = field(default=4096, metadata=named("cacheSizeInMBPerServer"))
    """MiB; counts for a scorer that does not say it itself."""
    encode_profile: str = "encode"
    """Without effect: there is one profile."""

    def __post_init__(self) -> None:
        more_than("cacheSizeInMBPerServer", self.cache_size_in_mb_per_server, 0)

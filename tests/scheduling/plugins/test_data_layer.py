import pytest

from epp.scheduling.plugins.data_layer import (
    ApproxPrefixCacheProducer,
    EngineConfig,
    FileDiscovery,
    InflightLoadProducer,
    MetricsDataSource,
    MmEmbeddingsCacheProducer,
    ModelsDataSource,
    SessionIdProducer,
    TokenProducer,
)

BAD = [
    (MetricsDataSource, {"port": 65536}, "port is 65536; it must be from 0 to 65535"),
    (MetricsDataSource, {"port": -1}, "port is -1; it must be from 0 to 65535"),
    (MetricsDataSource, {"interval": "50"}, "interval is '50'; it must be a duration"),
    (MetricsDataSource, {"interval": "0s"}, "interval is 0.0; it must be more than 0"),
    (MetricsDataSource, {"path": ""}, "path is missing or empty"),
    (ModelsDataSource, {"client_cert_path": "a.pem"}, "clientCertPath and clientKeyPath go together"),
    (EngineConfig, {"name": ""}, "name is missing or empty"),
    (FileDiscovery, {}, "path is missing or empty; it is required"),
    (ApproxPrefixCacheProducer, {"block_size_tokens": 0}, "blockSizeTokens is 0; it must be more than 0"),
    (ApproxPrefixCacheProducer, {"lru_capacity_per_server": 0}, "lruCapacityPerServer is 0; it must be more than 0"),
    (InflightLoadProducer, {"max_estimated_output_tokens": -1}, "maxEstimatedOutputTokens is -1"),
    (SessionIdProducer, {"header_name": "h", "cookie_name": "c"}, "headerName and cookieName are both given"),
    (SessionIdProducer, {"ttl": "never"}, "ttl is 'never'; it must be a duration"),
    (SessionIdProducer, {"ttl": "-1m"}, "ttl is -60.0; it must be more than 0"),
    (SessionIdProducer, {"lru_size": 0}, "lruSize is 0; it must be more than 0"),
    (MmEmbeddingsCacheProducer, {"cache_size_in_mb_per_server": 0}, "cacheSizeInMBPerServer is 0"),
]


@pytest.mark.parametrize(("parameters", "values", "message"), BAD)
def test_bad_values_are_refused(parameters: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameters(**values)


def test_sources_have_the_go_picker_s_defaults() -> None:
    metrics, models = MetricsDataSource(), ModelsDataSource()
    assert (metrics.scheme, metrics.path, metrics.port, metrics.insecure_skip_verify) == ("http", "/metrics", 0, True)
    assert (models.scheme, models.path, models.insecure_skip_verify) == ("http", "/v1/models", True)
    assert metrics.interval_s is None
    assert MetricsDataSource(interval="1m").interval_s == 60.0


def test_derived_values() -> None:
    assert ApproxPrefixCacheProducer().capacity_tokens == 500_000


def test_tokenizers_are_accepted_with_a_remark() -> None:
    assert TokenProducer(estimate={"image": {}}).remarks() == ()
    assert "not tokenized" in TokenProducer("m", vllm={"url": "http://localhost:8000"}).remarks()[0]

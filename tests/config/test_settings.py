from __future__ import annotations

from pathlib import Path

import pytest

from epp.config.errors import Findings
from epp.config.profiles import default_spec
from epp.config.sections import EppSection
from epp.config.settings import (
    FileSettings,
    HttpSettings,
    ServerTls,
    ServingSettings,
    Settings,
    settings_of,
)
from epp.config.validation import validate
from epp.config.yaml_document import read_document
from epp.discovery import DnsSettings, Family, HostTarget, ServiceTarget
from epp.extproc import ExchangeSettings
from epp.router import ModelRewrite, RouterSettings, TargetSettings, WeightedModel
from epp.telemetry.decision_log import DecisionLogSettings
from epp.telemetry.engines import ENGINES, Series
from epp.telemetry.logs import Encoder, Level, LogSettings
from epp.telemetry.scrape_settings import ScrapeSettings, TlsSettings


def settings(text: str) -> Settings:
    findings = Findings()
    node = read_document(text.encode(), "f", findings)
    assert node is not None
    section = validate(EppSection, node, "epp", findings)
    assert findings.errors == []
    assert section is not None
    return settings_of(section, default_spec())


def test_an_empty_section_means_the_rooms_own_defaults() -> None:
    default = settings_of(EppSection(), default_spec())
    assert default.exchange == ExchangeSettings()
    assert default.router == RouterSettings()
    assert default.scrape == ScrapeSettings()
    assert default.discovery.dns == DnsSettings()
    assert default.logging == LogSettings()
    assert default.bodies_in_flight_bytes == 1 << 30
    assert default.decision_log is None
    assert default.serving == ServingSettings("", 9002, 9003, 30.0, ServerTls(None))
    assert default.http == HttpSettings("", 9090, metrics_need_token=False, token_file=None, tls=None)


def test_serving() -> None:
    found = settings(
        "{serving: {bind: '[::1]', port: 1, healthPort: 2, drainTimeout: 1m, tls: {certDir: /tls, reload: true, "
        "clientCaFile: /ca}}, metrics: {port: 3, needToken: true, tls: {certDir: /mtls}}, debug: {tokenFile: /t}}"
    )
    assert found.serving == ServingSettings("::1", 1, 2, 60.0, ServerTls(Path("/tls"), Path("/ca"), reload=True))
    assert found.http == HttpSettings(
        "", 3, metrics_need_token=True, token_file=Path("/t"), tls=ServerTls(Path("/mtls"))
    )
    assert settings("serving: {tls: {enabled: false}}").serving.tls is None


def test_the_capacity_of_caches_is_in_blocks_of_the_index() -> None:
    assert settings("prefix: {capacityTokens: 640000}").router.default_capacity_blocks == 10_000
    assert settings("prefix: {capacityTokens: 1}").router.default_capacity_blocks == 1


def test_models() -> None:
    found = settings(
        "models: {rewrites: [{models: [a], targets: [{model: b, weight: 3}, {model: c}]}, {targets: [{model: d}]}], "
        "rejectMissing: true, rejectUnknown: true, rewriteByHeader: false}"
    )
    assert found.router.targets == TargetSettings(
        (
            ModelRewrite((WeightedModel("b", 3), WeightedModel("c")), ("a",)),
            ModelRewrite((WeightedModel("d"),)),
        ),
        rewrite_by_header=False,
        reject_missing_model=True,
        reject_unknown_model=True,
    )


def test_endpoints() -> None:
    found = settings(
        "endpoints: {static: ['10.0.0.1:80'], dns: ['vllm.svc:80'], srv: [_a._tcp.b], file: {path: /e, watch: false}, "
        "lookups: {family: all, nameservers: [10.0.0.2, '[fd00::1]:5353']}}"
    )
    assert found.discovery.targets == (
        HostTarget("10.0.0.1", 80), HostTarget("vllm.svc", 80), ServiceTarget("_a._tcp.b"),
    )  # fmt: skip
    assert found.discovery.file == FileSettings(Path("/e"), watch=False)
    assert found.discovery.dns == DnsSettings(family=Family.ALL, nameservers=(("10.0.0.2", 53), ("fd00::1", 5353)))


def test_scraping() -> None:
    found = settings(
        "scraping: {interval: 2s, timeout: 3s, maxBackoff: 4s, scheme: https, path: /m, port: 5, bearerTokenFile: /b, "
        "tls: {verify: false, caFile: /ca, certFile: /c, keyFile: /k, serverName: vllm}, "
        "engineLabel: kind, health: {path: '', interval: 6s}, models: {path: /l, interval: 7s}}"
    )
    assert found.scrape == ScrapeSettings(
        interval_s=2.0, timeout_s=3.0, max_backoff_s=4.0, scheme="https", metrics_path="/m", metrics_port=5,
        token_file=Path("/b"), tls=TlsSettings(False, Path("/ca"), Path("/c"), Path("/k"), "vllm"),
        engine_labels=("kind",),
        health_path="", health_interval_s=6.0, models_path="/l", models_interval_s=7.0,
    )  # fmt: skip


def test_metric_names_are_laid_over_the_presets() -> None:
    engines = settings(
        "scraping: {engine: mine, engines: {vllm: {waiting: w, cacheInfo: c, loraInfo: ''}, "
        "mine: {running: 'r{a=b}', cacheInfo: i, blockSizeLabel: s, loraInfo: l}, sglang: {blocksLabel: n}}}"
    ).scrape.engines
    vllm, mine, sglang = engines["vllm"], engines["mine"], engines["sglang"]
    assert (vllm.waiting, vllm.running) == (Series("w"), ENGINES["vllm"].running)
    assert vllm.lora_info is None
    assert vllm.cache_info is not None
    assert (vllm.cache_info.series, vllm.cache_info.block_size) == (Series("c"), "block_size")
    assert mine.running == Series("r", (("a", "b"),))
    assert mine.cache_info is not None
    assert (mine.cache_info.block_size, mine.cache_info.blocks) == ("s", "num_gpu_blocks")
    assert mine.lora_info is not None
    assert sglang.cache_info is not None
    assert (sglang.cache_info.block_size, sglang.cache_info.blocks) == ("page_size", "n")
    assert set(engines) == {*ENGINES, "mine"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{verbosity: 0}", LogSettings(Level.WARNING)),
        ("{verbosity: 4, format: json}", LogSettings(Level.DEBUG, Encoder.JSON)),
        ("{verbosity: 100, format: console}", LogSettings(Level.TRACE, Encoder.CONSOLE)),
    ],
)
def test_logging(text: str, expected: LogSettings) -> None:
    assert settings(f"logging: {text}").logging == expected


def test_limits_of_the_section_are_within_those_of_the_rooms() -> None:
    slowest = "interval: 1h, timeout: 1m, maxBackoff: 1h, health: {interval: 1h}, models: {interval: 24h}"
    fastest = "interval: 50ms, timeout: 50ms, maxBackoff: 50ms, health: {interval: 100ms}, models: {interval: 1s}"
    for text in (slowest, fastest):
        settings(f"scraping: {{{text}}}")


def test_the_decision_log() -> None:
    found = settings("decisions: {log: {path: d.jsonl, maxFileBytes: 1MiB, keep: 0, blockStride: 1}}").decision_log
    assert found == DecisionLogSettings(Path("d.jsonl"), max_file_bytes=1 << 20, keep=0, block_stride=1)
    assert settings("decisions: {log: {path: d.jsonl}}").decision_log == DecisionLogSettings(
        Path("d.jsonl"), max_file_bytes=100 << 20, keep=5, block_stride=8
    )

"""Pool files: what they say, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.commands.pool_files import DEFAULT_PODS, default_pool, parse_pool, read_pool
from epp.config.errors import ConfigError
from epp.simulator import HARDWARE, Incident, IncidentKind

EVERYTHING = b"""
pods:
  - count: 2
    hardware: h100
  - hardware: l40s
    speed: 0.5
    pricePerHour: 1.25
    engine: {numGpuBlocks: 4096, maxNumSeqs: 64, maxLoras: 4, loraLoadS: 0.2, maxQueuedRequests: 9, maxModelLen: 9000}
picker:
  scrapeInterval: 200ms
  scrapeDelay: 5ms
  replyDelay: 2ms
  replyLoss: 0.1
  replicas: 2
  decision: 3ms
  decisionPerMegabyte: 1ms
  lean: true
incidents:
  - {at: 60s, pod: 2, speed: 0.25}
  - {at: 1m30s, pod: 0, happens: restart}
"""


def test_what_is_written_is_what_is_simulated() -> None:
    pool = parse_pool(EVERYTHING, "pool.yaml")
    assert [pod.name for pod in pool.pods] == ["pod-0", "pod-1", "pod-2"]
    assert [pod.hardware for pod in pool.pods] == ["h100", "h100", "l40s"]
    assert pool.pods[0].cost == HARDWARE["h100"].cost
    assert (pool.pods[0].price_per_hour, pool.pods[2].price_per_hour) == (HARDWARE["h100"].price_per_hour, 1.25)
    slow = pool.pods[2]
    assert (slow.speed, slow.engine.num_gpu_blocks, slow.engine.max_num_seqs) == (0.5, 4096, 64)
    assert (slow.engine.max_loras, slow.engine.lora_load_s) == (4, 0.2)
    assert (slow.engine.max_queued_requests, slow.engine.max_model_len) == (9, 9000)
    sight = pool.sight
    assert (sight.scrape_interval_s, sight.scrape_delay_s, sight.reply_delay_s) == (0.2, 0.005, 0.002)
    assert (sight.reply_loss, sight.replicas, sight.lean) == (0.1, 2, True)
    assert (sight.decision_s, sight.decision_per_mb_s) == (0.003, 0.001)
    assert pool.incidents == (
        Incident(60.0, 2, IncidentKind.SPEED, 0.25),
        Incident(90.0, 0, IncidentKind.RESTART),
    )
    assert pool.name == "pool"


def test_all_has_defaults() -> None:
    assert parse_pool(b"picker: {}", "x.yaml").pods == default_pool().pods
    assert len(default_pool().pods) == DEFAULT_PODS


def test_prompts_may_be_as_long_as_the_cache_unless_a_limit_is_written() -> None:
    (pod,) = parse_pool(b"pods: [{engine: {numGpuBlocks: 1001, blockSize: 32}}]", "x.yaml").pods
    assert pod.engine.max_model_len == pod.engine.capacity_tokens == 32_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "p.yaml: is empty"),
        ("pods: [{count: 0}]", "p.yaml:1:16: pods[0].count: "),
        ("pods:\n  - count: 2\n    hardwear: h100", "p.yaml:3:5: pods[0]"),
        ("pods: [{hardware: h1000}]", "did you mean 'h100'?"),
        ("pods: []", "there are 0 pods"),
        ("incidents: [{at: 5s, pod: 8}]", "names no pod"),
        ("incidents: [{at: 5s, pod: 0, happens: explode}]", "incidents[0].happens: "),
        ("incidents: [{pod: 0}]", "incidents[0]: key 'at' is missing"),
        ("picker: {replyLoss: 2}", "picker.replyLoss: "),
        ("picker: {scrapeInterval: 0s}", "picker.scrapeInterval: "),
        ("pods: [{engine: {maxNumSeqs: 9000}}]", "could not give every sequence its token"),
        ("pods: [{engine: {maxModelLen: 99999999}}]", "lower max_model_len"),
        ("pods: [{count: 4096}, {count: 4096}]", "4096"),
        ("pods: [{speed: .nan}]", "pods[0].speed: "),
        ("pods: [", "p.yaml:1:"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pool(text.encode(), "p.yaml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("p.yaml")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pool(b"pods: [{count: 0}]\npicker: {replicas: 0}", "p.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_cannot_be_read_is_the_operators_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        read_pool(tmp_path / "missing.yaml")

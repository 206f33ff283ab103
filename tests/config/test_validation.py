from __future__ import annotations

import pytest

from epp.config.errors import Findings
from epp.config.sections import EppSection
from epp.config.validation import validate
from epp.config.yaml_document import read_document


def errors_of(text: str) -> list[str]:
    findings = Findings()
    node = read_document(text.encode(), "f", findings)
    assert node is not None
    section = validate(EppSection, node, "epp", findings)
    assert (section is None) == bool(findings.errors)
    return [str(error) for error in findings.errors]


CASES = {
    "serving: {port: '9002'}": ["f:1:17: epp.serving.port: must be a whole number, found '9002'"],
    "serving: {port: 70000}": ["f:1:17: epp.serving.port: must be less than or equal to 65535, found 70000"],
    "serving: {port: [1]}": ["f:1:11: epp.serving.port: must be a whole number, found a list"],
    "serving: {bind: '1.2.3.4:80'}": [
        "f:1:17: epp.serving.bind: must be an address alone; the port has a key of its own, found '1.2.3.4:80'"
    ],
    "serving: 3": ["f:1:10: epp.serving: must be a mapping, found 3"],
    "serving: {prt: 1, tls: {enabeld: true}}": [
        "f:1:25: epp.serving.tls: unknown key 'enabeld'; did you mean 'enabled'?",
        "f:1:11: epp.serving: unknown key 'prt'; did you mean 'port'?",
    ],
    "serving:\n  prt:\n": ["f:2:3: epp.serving: unknown key 'prt'; did you mean 'port'?"],
    "scraping: {interval: 1ms}": ["f:1:22: epp.scraping.interval: must be in the range 50ms to 1h, found '1ms'"],
    "scraping: {interval: soon}": [
        "f:1:22: epp.scraping.interval: must be a duration such as 500ms, 2s or 1m30s, found 'soon'"
    ],
    "scraping: {interval: true}": [
        "f:1:22: epp.scraping.interval: must be a duration such as 500ms, 2s or 1m30s, or a number of seconds, "
        "found true"
    ],
    "scraping: {scheme: htps}": [
        "f:1:20: epp.scraping.scheme: must be 'http' or 'https', found 'htps'; did you mean 'https'?"
    ],
    "scraping: {path: metrics}": [
        "f:1:18: epp.scraping.path: must begin with / and hold printable ASCII only, found 'metrics'"
    ],
    "scraping: {engine: vlm}": ["f:1:1: epp.scraping: engine 'vlm' has no metric names; did you mean 'vllm'?"],
    "scraping: {engines: {vllm: {waitng: x}}}": [
        "f:1:29: epp.scraping.engines.vllm: unknown key 'waitng'; did you mean 'waiting'?"
    ],
    "scraping: {engines: {x: {waiting: 'a b'}}}": [
        "f:1:35: epp.scraping.engines.x.waiting: 'a b' is not a metric name, nor name{label=value}"
    ],
    "exchange: {maxBodyBytes: 1.5 GiB}": [
        "f:1:26: epp.exchange.maxBodyBytes: must be a size such as 256MiB, 1Gi or 10MB, or a number of bytes, "
        "found '1.5 GiB'"
    ],
    "exchange: {maxBodyBytes: 7}": ["f:1:26: epp.exchange.maxBodyBytes: must be in the range 1KiB to 1GiB, found 7"],
    "endpoints: {static: ['a:80', b, _x._tcp]}": [
        "f:1:30: epp.endpoints.static[1]: 'b' has no port: write host:port",
        "f:1:33: epp.endpoints.static[2]: '_x._tcp' is a DNS service: list it under srv",
    ],
    "endpoints: {srv: [a]}": [
        "f:1:19: epp.endpoints.srv[0]: 'a' is not a DNS service, which looks like _vllm._tcp.example"
    ],
    "endpoints: {lookups: {family: v4}}": [
        "f:1:31: epp.endpoints.lookups.family: must be 'v4-preferred', 'v6-preferred' or 'all', found 'v4'"
    ],
    "endpoints: {lookups: {minInterval: 10s, maxInterval: 5s}}": [
        "f:1:13: epp.endpoints.lookups: minInterval is greater than maxInterval"
    ],
    "models: {rewrites: [{targets: []}]}": [
        "f:1:22: epp.models.rewrites[0].targets: must have at least 1 items, found a list"
    ],
    "models: {rewrites: [{models: ['']}]}": [
        "f:1:31: epp.models.rewrites[0].models[0]: must not be empty, found ''",
        "f:1:21: epp.models.rewrites[0]: key 'targets' is missing",
    ],
    "health: {maxEjectedShare: 2}": ["f:1:27: epp.health.maxEjectedShare: must be less than or equal to 1, found 2"],
    "health: {ejection: 1h}": ["f:1:1: epp.health: ejection is greater than maxEjection"],
    "metrics: {needToken: true}": ["f:1:1: epp: metrics.needToken needs debug.tokenFile"],
    "metrics: {port: 9002}": ["f:1:1: epp: serving.port, serving.healthPort and metrics.port must differ"],
    "metrics: {tls: {clientCaFile: x}}": [
        "f:1:11: epp.metrics.tls: clientCaFile needs certDir: without TLS there are no client certificates"
    ],
    "pool: {name: 8}": ['f:1:14: epp.pool.name: must be text, found 8; in quotes it is text: "8"'],
    "pool: {name: yes}": ['f:1:14: epp.pool.name: must be text, found yes; in quotes it is text: "yes"'],
    "logging: {verbosity: true}": ["f:1:22: epp.logging.verbosity: must be a whole number, found true"],
    "serving:\npool: {name: }\n": [],
    "serving: {port: 0, healthPort: 0}\nmetrics: {port: 0}": [],
}


@pytest.mark.parametrize("text", CASES)
def test_every_fault_is_told_with_place_finding_and_what_is_allowed(text: str) -> None:
    assert errors_of(text) == CASES[text]

from __future__ import annotations

import pytest

from epp.config.errors import Findings
from epp.config.flag_table import FLAGS, FlagValues, flag_layer
from epp.config.sections import EppSection
from epp.config.yaml_document import Json

GO_FLAGS = [
    "allow-experimental-plugins",
    "cache-info-metric",
    "cert-path",
    "config-file",
    "config-text",
    "disable-endpoint-subset-filter",
    "drain-timeout",
    "emit-endpoint-scores",
    "enable-cert-reload",
    "enable-grpc-stream-metrics",
    "enable-pprof",
    "endpoint-selector",
    "endpoint-target-ports",
    "grpc-health-port",
    "grpc-max-recv-msg-size",
    "grpc-max-send-msg-size",
    "grpc-port",
    "ha-enable-leader-election",
    "health-checking",
    "kv-cache-usage-percentage-metric",
    "lora-info-metric",
    "metrics-cert-dir",
    "metrics-client-ca-file",
    "metrics-endpoint-auth",
    "metrics-port",
    "metrics-staleness-threshold",
    "pool-group",
    "pool-name",
    "pool-namespace",
    "refresh-metrics-interval",
    "refresh-prometheus-metrics-interval",
    "secure-serving",
    "tls-cipher-suites",
    "tls-min-version",
    "total-queued-requests-metric",
    "total-running-requests-metric",
    "tracing",
    "v",
    "zap-devel",
    "zap-encoder",
    "zap-log-level",
    "zap-stacktrace-level",
    "zap-time-encoding",
]


def test_all_flags_of_the_go_picker_are_known() -> None:
    assert set(GO_FLAGS) - set(FLAGS) == set()


def test_our_own_are_few() -> None:
    assert set(FLAGS) - set(GO_FLAGS) == {
        "endpoint",
        "endpoints-file",
        "dns",
        "srv",
        "bind",
        "debug-token-file",
        "decision-log",
    }


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_acts_on_keys_that_are_or_says_what_is_so_instead(name: str) -> None:
    flag = FLAGS[name]
    assert bool(flag.paths) != bool(flag.instead) or name in ("config-file", "config-text")
    defaults = EppSection().model_dump(by_alias=True)
    for path in flag.paths:
        value = defaults
        for key in path if path[:2] != ("scraping", "engines") else path[:2]:
            value = value[key]


LAYERS: dict[str, tuple[FlagValues, Json]] = {
    "numbers": ({"grpc-port": "9", "v": "4"}, {"serving": {"port": 9}, "logging": {"verbosity": 4}}),
    "no number stays text, for the check to refuse": ({"grpc-port": "x"}, {"serving": {"port": "x"}}),
    "text that looks like a number": ({"pool-name": "9"}, {"pool": {"name": "9"}}),
    "switches": (
        {"secure-serving": "false", "tracing": "T"},
        {"serving": {"tls": {"enabled": False}}, "tracing": {"enabled": True}},
    ),
    "a switch with the opposite meaning": ({"disable-endpoint-subset-filter": "true"}, {"pool": {"useSubset": False}}),
    "numbers with commas": (
        {"endpoint-target-ports": "80, 81,x"},
        {"endpoints": {"kubernetes": {"targetPorts": [80, 81, "x"]}}},
    ),
    "repeated": ({"endpoint": ("a:1", "b:2")}, {"endpoints": {"static": ["a:1", "b:2"]}}),
    "one flag for two keys": ({"bind": "::1"}, {"serving": {"bind": "::1"}, "metrics": {"bind": "::1"}}),
    "old metric names": (
        {"total-queued-requests-metric": "w", "cache-info-metric": "c"},
        {"scraping": {"engines": {"vllm": {"waiting": "w", "cacheInfo": "c"}}}},
    ),
    "no effect": ({"enable-pprof": "true"}, {}),
}


@pytest.mark.parametrize("case", LAYERS)
def test_flags_become_keys(case: str) -> None:
    values, expected = LAYERS[case]
    assert flag_layer(values, Findings()).plain() == expected


def test_a_flag_without_effect_is_one_warning() -> None:
    findings = Findings()
    flag_layer({"ha-enable-leader-election": "true", "zap-log-level": "debug"}, findings)
    assert [str(warning) for warning in findings.warnings] == [
        "--ha-enable-leader-election: has no effect: replicas need no leader: each is always ready",
        "--zap-log-level: has no effect: -v and --zap-encoder choose what is logged and how",
    ]


def test_what_is_switched_off_asks_for_nothing() -> None:
    findings = Findings()
    flag_layer({"ha-enable-leader-election": "false", "enable-pprof": "0"}, findings)
    assert findings.warnings == []


def test_a_switch_is_true_or_false() -> None:
    findings = Findings()
    flag_layer({"tracing": "yes"}, findings)
    assert [str(error) for error in findings.errors] == ["--tracing: must be true or false, found 'yes'"]

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from epp.config import ConfigError, ConfigFile, Settings, load, read_config, read_settings, settings_from
from epp.config.yaml_document import MAX_BYTES
from epp.discovery import HostTarget
from epp.discovery.kubernetes import LabelSelector, PodSelection, Pool, PoolReference

ENDPOINT: dict[str, str | tuple[str, ...]] = {"endpoint": ("10.0.0.1:8000",)}
HEADER = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def settings(text: str | None, flags: Mapping[str, str | tuple[str, ...]] = ENDPOINT, **env: str) -> Settings:
    return settings_from(flags, env, None if text is None else ConfigFile((HEADER + text).encode(), "f"))[0]


def warnings(text: str | None, flags: Mapping[str, str | tuple[str, ...]] = ENDPOINT, **env: str) -> list[str]:
    file = None if text is None else ConfigFile(text.encode(), "f")
    return [str(warning) for warning in settings_from(flags, env, file)[1]]


def errors(text: str | None, flags: Mapping[str, str | tuple[str, ...]] = ENDPOINT, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        settings_from(flags, env, None if text is None else ConfigFile(text.encode(), "f"))
    assert str(error.value) == "\n".join(map(str, error.value.problems))
    return [str(problem) for problem in error.value.problems]


def test_flags_alone_are_enough() -> None:
    found, told = settings_from(ENDPOINT, {}, None)
    assert found.discovery.targets == (HostTarget("10.0.0.1", 8000),)
    assert found.profile.cost is not None
    assert told == ()


PLUGIN = "plugins: [{type: metrics-data-source, parameters: {interval: 2s}}]\n"


@pytest.mark.parametrize(
    ("text", "flags", "interval_s", "told"),
    [
        ("", {}, 1.0, []),
        (PLUGIN, {}, 2.0, []),
        (PLUGIN + "epp: {scraping: {interval: 3s}}", {}, 3.0,
         ["f:3:62: epp.scraping.interval: '2s' has no effect: f:4:28 says '3s'"]),
        (PLUGIN + "epp: {scraping: {interval: 3s}}", {"refresh-metrics-interval": "4s"}, 4.0,
         ["f:3:62: epp.scraping.interval: '2s' has no effect: f:4:28 says '3s'",
          "f:4:28: epp.scraping.interval: '3s' has no effect: --refresh-metrics-interval says '4s'"]),
        ("", {"refresh-metrics-interval": "10ms"}, 0.05,
         ["--refresh-metrics-interval: 10ms is less than 50ms: 50ms is taken",
          "--refresh-metrics-interval: epp.scraping.interval: 50ms is honoured, but each metrics page costs vLLM 5 to "
          "18 ms"]),
        ("", {"refresh-metrics-interval": "50ms"}, 0.05,
         ["--refresh-metrics-interval: epp.scraping.interval: 50ms is honoured, but each metrics page costs vLLM 5 to "
          "18 ms"]),
    ],
)  # fmt: skip
def test_precedence(text: str, flags: dict[str, str], interval_s: float, told: list[str]) -> None:
    assert settings(text, {**ENDPOINT, **flags}).scrape.interval_s == interval_s
    assert warnings(HEADER + text, {**ENDPOINT, **flags}) == told


def test_the_environment_names_pool_and_replica_where_nothing_else_does() -> None:
    env = {"NAMESPACE": "ns", "POD_NAME": "pod-1"}
    assert settings("", **env).pool.namespace == "ns"
    assert settings("", **env).pool.replica == "pod-1"
    assert settings("", {**ENDPOINT, "pool-namespace": "mine"}, **env).pool.namespace == "mine"
    assert settings("epp: {pool: {namespace: file}}", **env).pool.namespace == "file"
    assert warnings(HEADER, {**ENDPOINT, "pool-namespace": "mine"}, **env) == []


def test_config_text_is_a_file() -> None:
    flags = {**ENDPOINT, "config-text": HEADER + "epp: {pool: {name: x}}"}
    assert settings(None, flags).pool.name == "x"
    assert errors(None, {**ENDPOINT, "config-text": "epp: 3"})[0].startswith("--config-text:1:")
    assert errors(HEADER, flags) == ["--config-text: and --config-file are both given: choose one"]


@pytest.mark.parametrize(
    "section",
    ["static: ['a:80']", "dns: ['a:80']", "srv: [_a._tcp.b]", "file: {path: /e}"],
)
def test_endpoints_may_come_from_the_file(section: str) -> None:
    settings(f"epp: {{endpoints: {{{section}}}}}", {})


@pytest.mark.parametrize(
    ("flags", "start"),
    [
        ({}, "endpoints: no endpoints are named: give --endpoint HOST:PORT, --endpoints-file FILE, --dns NAME:PORT"),
        ({"endpoint-selector": "a=b"}, "--endpoint-selector: epp.endpoints.kubernetes: selector and targetPorts go"),
        (
            {"endpoint-target-ports": "80"},
            "--endpoint-target-ports: epp.endpoints.kubernetes: selector and targetPorts",
        ),
        (
            {"endpoint-selector": "a", "endpoint-target-ports": "80"},
            "--endpoint-selector: epp.endpoints.kubernetes.sel",
        ),
        ({"endpoint-selector": "a=b", "endpoint-target-ports": "x"}, "--endpoint-target-ports: epp.endpoints.kubernet"),
        ({"pool-name": "P"}, "--pool-name: epp.pool.name: 'P' is no name of a Kubernetes object"),
        ({"pool-name": "p", "pool-namespace": "n/s"}, "--pool-namespace: epp.pool.namespace: 'n/s' is no name"),
        ({"pool-name": "p", "pool-group": "x,y"}, "--pool-group: epp.endpoints.kubernetes.group: 'x,y' is no name"),
    ],
)
def test_without_endpoints_a_start_says_what_to_do(flags: dict[str, str], start: str) -> None:
    (error,) = errors(None, flags)
    assert error.startswith(start)


def test_a_pool_name_is_a_label_where_endpoints_are_named() -> None:
    assert settings(None, {**ENDPOINT, "pool-name": "p"}).pool.name == "p"
    assert warnings(None, {**ENDPOINT, "pool-name": "p"}) == []


POOL = PoolReference("p", "ns")


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("", {"pool-name": "p", "pool-namespace": "ns"}, POOL),
        ("", {"pool-name": "p", "pool-namespace": "ns", "pool-group": "g.x"}, PoolReference("p", "ns", "g.x")),
        ("epp: {pool: {name: p, namespace: ns}, endpoints: {kubernetes: {pool: true}}}", {}, POOL),
        (
            "epp: {pool: {namespace: ns}, endpoints: {kubernetes: {pool: true}, static: ['10.0.0.1:80']}}",
            {"pool-name": "p"},
            POOL,
        ),
        (
            "",
            {"endpoint-selector": "a=b", "endpoint-target-ports": "80, 81", "pool-name": "any name"},
            PodSelection("default", Pool(LabelSelector.of({"a": "b"}), (80, 81))),
        ),
        (
            "epp: {endpoints: {kubernetes: {selector: 'a=b', targetPorts: [80]}}}",
            {},
            PodSelection("default", Pool(LabelSelector.of({"a": "b"}), (80,))),
        ),
        ("", {**ENDPOINT, "pool-name": "p"}, None),
        ("epp: {endpoints: {file: {path: /e}}}", {"pool-name": "p"}, None),
    ],
)  # fmt: skip
def test_what_is_watched_on_kubernetes(text: str, flags: dict[str, str], expected: object) -> None:
    assert settings(text, flags).discovery.kubernetes == expected


def test_a_pool_and_a_selector_exclude_each_other() -> None:
    section = "epp: {pool: {name: p}, endpoints: {kubernetes: {pool: true, selector: 'a=b', targetPorts: [80]}}}"
    (error,) = errors(HEADER + section, {})
    assert "pool and selector are both given" in error


def test_all_errors_come_at_once_by_line() -> None:
    text = (
        "kind: EndpointPickerConfig\napiVersion: llm-d.ai/v1alpha1\nnonsense: 1\nplugins:\n- type: queue-scorr\n"
        "- type: no-hit-lru-scorer\n  parameters: {lruSize: few}\n- name: 3\n  type: x\nschedulingProfiles:\n"
        "- name: p\n  plugins: [{pluginRef: nope, weight: -1}]\n- name: q\n  plugins: [{pluginRef: nope}]\n"
        "featureGates: [flowControll]\ndataLayer: {discovery: {pluginRef: gone}}\nepp: {serving: {prt: 1}}\n"
    )
    found = errors(text, {**ENDPOINT, "grpc-port": "many"})
    assert [error.split(": ")[0] for error in found] == [
        "--grpc-port", "f:3:1", "f:5:9", "f:7:25", "f:8:9", "f:12:25", "f:12:39", "f:14:25", "f:15:16", "f:16:13",
        "f:17:17",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["f:1:1: is empty: write 'kind: EndpointPickerConfig' when defaults are meant"]),
        ("# only a remark\n", ["f:1:1: is empty: write 'kind: EndpointPickerConfig' when defaults are meant"]),
        ("- 1", ["f:1:1: must be a mapping with the key kind, found a list"]),
        ("kind: EndpointPickerConfig\napiVersion: v9", [
            "f:2:13: apiVersion: must be 'llm-d.ai/v1alpha1', 'llm-d.ai/v1' or "
            "'inference.networking.x-k8s.io/v1alpha1', found 'v9'",
        ]),
        ("kind: InferencePool", ["f:1:7: kind: must be 'EndpointPickerConfig', found 'InferencePool'"]),
        ("plugins: 3", ["f:1:10: plugins: must be a list, found 3"]),
        ("epp: []", ["f:1:1: epp: must be a mapping, found a list"]),
        ("a: b: c", ["f:1:5: not valid YAML: mapping values are not allowed in this context"]),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused(text: str, expected: list[str]) -> None:
    assert errors(text) == expected


def test_a_file_without_header_is_taken_with_warnings() -> None:
    assert warnings("plugins: []") == [
        "f:1:1: has no kind: taken as EndpointPickerConfig",
        "f:1:1: has no apiVersion: taken as llm-d.ai/v1alpha1",
    ]


@pytest.mark.parametrize(
    ("text", "flags", "after_s", "told"),
    [
        ("", {}, 2.0, []),
        ("epp: {scraping: {interval: 5s}}", {}, 10.0, []),
        ("epp: {scraping: {interval: 1h}}", {}, 3600.0,
         ["f:3:1: epp.staleness.after: 1h is less than two intervals between scrapes: metrics fade before the next "
          "page"]),
        ("epp: {scraping: {interval: 5s}, staleness: {after: 30s}}", {}, 30.0, []),
        ("epp: {staleness: {after: 500ms}}", {}, 0.5,
         ["f:3:26: epp.staleness.after: 500ms is less than two intervals between scrapes: metrics fade before the next "
          "page"]),
        ("epp: {scraping: {interval: 3s}}", {"metrics-staleness-threshold": "0s"}, 6.0,
         ["--metrics-staleness-threshold: 0s is less than 50ms: twice the interval between scrapes, at least 2s, is "
          "taken"]),
    ],
)  # fmt: skip
def test_when_metrics_are_old_follows_from_how_often_they_are_read(
    text: str, flags: dict[str, str], after_s: float, told: list[str]
) -> None:
    assert settings(text, {**ENDPOINT, **flags}).router.pool.freshness.stale_after_s == after_s
    assert warnings(HEADER + text, {**ENDPOINT, **flags}) == told


@pytest.mark.parametrize("flag", ["refresh-metrics-interval", "metrics-staleness-threshold"])
@pytest.mark.parametrize("value", ["-1s", "soon"])
def test_a_duration_that_none_can_take_is_an_error(flag: str, value: str) -> None:
    assert len(errors(HEADER, {**ENDPOINT, flag: value})) == 1


def test_a_flag_s_duration_has_a_unit_as_in_go() -> None:
    assert errors(HEADER, {**ENDPOINT, "drain-timeout": "5"}) == [
        "--drain-timeout: epp.serving.drainTimeout: must be a duration such as 500ms, 2s or 1m30s, found '5'"
    ]


OLD_FILE = """\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: kv-cache-scorer
- type: prefix-cache-scorer
  parameters: {hashBlockSize: 64, maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 31250}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: kv-cache-scorer}, {pluginRef: prefix-cache-scorer, weight: 3}]
saturationDetector: {queueDepthThreshold: 5, kvCacheUtilThreshold: 0.8, metricsStalenessThreshold: 200ms}
"""


def test_a_file_of_the_old_group_works_with_warnings() -> None:
    found, told = settings_from(ENDPOINT, {}, ConfigFile(OLD_FILE.encode(), "f"))
    assert [scorer.plugin.type_name for scorer in found.profile.scorers] == ["kv-cache-scorer", "prefix-cache-scorer"]
    assert found.router.default_capacity_blocks == 31250 * 64 // 256
    assert [warning.key for warning in told] == [
        "apiVersion",
        "plugins[0].type",
        "plugins[1].parameters.hashBlockSize",
        "plugins[1].parameters.maxPrefixBlocksToMatch",
        "plugins[1].parameters.lruCapacityPerServer",
        "saturationDetector",
        "saturationDetector.queueDepthThreshold",
        "saturationDetector.kvCacheUtilThreshold",
        "saturationDetector.metricsStalenessThreshold",
    ]


NOTICES = {
    "featureGates: [flowControl]": "f:3:16: featureGates[0]: flow control is not here",
    "featureGates: [dataLayer=TRUE]": "f:3:16: featureGates[0]: has no effect: the data layer is always on",
    "saturationDetector: {}": "f:3:1: saturationDetector: is an old place: write flowControl.saturationDetector",
    "plugins: [{type: openai-parser}]\nparser: {pluginRef: openai-parser}": (
        "f:4:1: parser: is an old place: write requestHandler.parsers"
    ),
    "plugins: [{name: x, type: queue-scorer}]\ndataLayer: {crossReplicaSyncerPluginRef: x}": (
        "f:4:42: dataLayer.crossReplicaSyncerPluginRef: replicas share nothing here"
    ),
}


@pytest.mark.parametrize("text", NOTICES)
def test_sections_without_effect_are_told(text: str) -> None:
    assert [line for line in warnings(HEADER + text) if line.startswith(NOTICES[text])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("featureGates: [flowControll]",
         "f:1:16: featureGates[0]: no feature gate 'flowControll'; did you mean 'flowControl'?"),
        ("featureGates: [flowControl=maybe]", "f:1:16: featureGates[0]: must be flowControl, flowControl=true or "
         "flowControl=false, found 'flowControl=maybe'"),
    ],
)  # fmt: skip
def test_feature_gates_are_checked(text: str, expected: str) -> None:
    assert errors(text) == [expected]


def test_flow_control_that_is_off_is_only_noted() -> None:
    file = ConfigFile((HEADER + "flowControl: {maxRequests: 10, maxBytes: 1Gi}").encode(), "f")
    loaded = read_settings(ENDPOINT, {}, file)
    assert loaded.warnings == ()
    assert [note.key for note in loaded.notes] == ["flowControl"]


def test_the_file_is_read_as_far_as_it_may_go(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 10))
    assert len(read_config(path)) == MAX_BYTES + 1
    with pytest.raises(ConfigError, match=f"larger than {MAX_BYTES} bytes"):
        load({**ENDPOINT, "config-file": str(path)}, {})


def test_load_reads_the_file_that_the_flags_name(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(HEADER + "epp: {pool: {name: x}}")
    assert load({**ENDPOINT, "config-file": str(path)}, {}).settings.pool.name == "x"


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|is no path"):
        read_config(tmp_path / name)

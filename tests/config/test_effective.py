from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.config import ConfigFile, Loaded, build_profile, effective_text, read_settings
from epp.config.effective import _scalar
from epp.config.errors import Findings
from epp.config.yaml_document import Json, read_document

HEADER = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
FILES = sorted((Path(__file__).parents[1] / "data" / "llm-d").glob("*.yaml"))


def loaded(text: str, **flags: str) -> Loaded:
    given_flags = {"endpoint": ("10.0.0.1:8000",), **{name.replace("_", "-"): value for name, value in flags.items()}}
    return read_settings(given_flags, {"POD_NAME": "pod: 1"}, ConfigFile((HEADER + text).encode(), "config.yaml"))


def line_of(text: str, key: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))


def test_every_value_says_where_it_comes_from() -> None:
    text = effective_text(
        loaded(
            "plugins:\n- type: no-hit-lru-scorer\n  parameters: {lruSize: 7}\n- type: metrics-data-source\n"
            "  parameters: {port: 9000}\nepp: {scraping: {timeout: 2}, endpoints: {dns: ['a:80']}}\n",
            grpc_port="9010",
        )
    )
    assert line_of(text, "lruSize") == "    lruSize: 7  # config.yaml:5"
    assert line_of(text, "prefixPluginType") == '    prefixPluginType: ""  # default'
    assert line_of(text, "timeout") == "      timeout: 5s  # default"  # of lookups, which come first
    assert "    timeout: 2s  # config.yaml:8\n" in text
    assert "    port: 9010  # --grpc-port\n" in text
    assert "    port: 9000  # config.yaml:7\n" in text
    assert '    replica: "pod: 1"  # POD_NAME\n' in text
    assert "    static:  # --endpoint\n      - 10.0.0.1:8000\n" in text
    assert "    dns:  # config.yaml:8\n      - a:80\n" in text
    assert "- name: max-score-picker  # default\n" in text


def test_warnings_and_notes_stand_at_the_top() -> None:
    text = effective_text(loaded("plugins: [{type: latency-scorer}]\nflowControl: {}\n"))
    assert text.startswith("# Warnings:\n# - config.yaml:3:18: plugins[0].type: latency-scorer is not here: ")
    assert "# Notes:\n# - config.yaml:4:1: flowControl: " in text


ROUND_TRIPS = {
    "nothing": "",
    "values of many kinds": (
        "plugins: [{name: 'a: b', type: label-selector-filter, parameters: {matchLabels: {'#x': 'yes', y: '1'},"
        " matchExpressions: [{key: k, operator: In, values: ['', no way]}]}},"
        " {type: queue-scorer}]\n"
        "epp: {scraping: {engines: {'my kind': {waiting: 'w{a=b}', loraInfo: ''}}, engine: my kind},"
        " models: {rewrites: [{models: ['true', 'ü'], targets: [{model: '{x}', weight: 2}]}]},"
        " pool: {name: \"a\\tb\\u0007\"}, endpoints: {static: ['[fd00::1]:80'], lookups: {family: all}}}"
    ),
    "nested parameters": (
        "plugins: [{type: utilization-filter,"
        " parameters: {conditions: [{metric: kv-cache-utilization, maxValue: 0.9}]}},"
        " {type: session-affinity-scorer, parameters: {strategy: session_id,"
        " sessionIdConfig: {sources: [{header: x-s}]}}}]"
    ),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_what_is_printed_means_the_same(case: str) -> None:
    _check_round_trip(loaded(ROUND_TRIPS[case]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_printed_of_the_go_pickers_files_means_the_same(path: Path) -> None:
    _, plugins, rest = path.read_text().partition("plugins:")
    _check_round_trip(loaded(plugins + rest))


def _check_round_trip(one: Loaded) -> None:
    text = effective_text(one)
    again = read_settings({}, {}, ConfigFile(text.encode(), "effective.yaml"))
    assert again.settings == one.settings
    assert again.warnings == ()
    assert "# default" not in effective_text(again)


def test_secrets_of_plugins_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secretive_policy.py").write_text(
        "class Secretive:\n    def __init__(self, api_key: str, extra: dict = {}):\n        self.api_key = api_key\n"
        "    def score(self, request, view): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = loaded(
        "plugins: [{type: 'secretive_policy:Secretive', parameters: {apiKey: sk-123, extra: {password: sk-456, n: 1}}}]"
    )
    text = effective_text(found)
    assert "sk-" not in text
    assert "(hidden)" in text
    (slot,) = build_profile(found.settings).scorers
    assert slot.plugin.api_key == "sk-123"  # type: ignore[attr-defined]


@settings(deadline=None)
@given(
    st.text(max_size=30)
    | st.sampled_from(["yes", "1", "1.5", "null", "~", "a: b", "a #b", "- a", "[a", "a:80", "*a", "&a"])
)
def test_any_text_is_written_so_that_it_reads_back(text: str) -> None:
    assert _read(f"a: {_scalar(text)}\n{_scalar(text)}: 1") == {"a": text, text: 1} or text in ("a", "<<")


def _read(text: str) -> Json:
    findings = Findings()
    node = read_document(text.encode("utf-8", "replace"), "f", findings)
    return node.plain() if node else None

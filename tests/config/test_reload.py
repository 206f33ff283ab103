from __future__ import annotations

import pytest

from epp.config import ConfigFile, Loaded, Part, effective_text, plan_reload, read_settings
from epp.config.sections import EppSection

BASE = """\
kind: EndpointPickerConfig
apiVersion: llm-d.ai/v1alpha1
plugins: [{type: queue-scorer}, {type: prefix-cache-scorer}]
schedulingProfiles: [{name: p, plugins: [{pluginRef: queue-scorer}, {pluginRef: prefix-cache-scorer, weight: 2}]}]
"""


def loaded(text: str = "", **flags: str) -> Loaded:
    given_flags = {"endpoint": ("10.0.0.1:8000",), **{name.replace("_", "-"): value for name, value in flags.items()}}
    return read_settings(given_flags, {}, ConfigFile((BASE + text).encode(), "f"))


def weight(value: int) -> Loaded:
    text = BASE.replace("weight: 2", f"weight: {value}")
    return read_settings({"endpoint": ("10.0.0.1:8000",)}, {}, ConfigFile(text.encode(), "f"))


CHANGES = {
    "weights": (weight(3), {Part.PROFILE}),
    "guards": (loaded("epp: {plugins: {slowCalls: 9}}"), {Part.PROFILE}),
    "rewrites": (loaded("epp: {models: {rewrites: [{targets: [{model: a}]}]}}"), {Part.MODELS}),
    "scraping": (loaded("epp: {scraping: {timeout: 2s}}"), {Part.SCRAPING}),
    "limits": (loaded("epp: {exchange: {maxBodyBytes: 1MiB}}"), {Part.EXCHANGE}),
    "logging": (loaded("epp: {logging: {verbosity: 4}}"), {Part.LOGGING}),
    "overload": (loaded("epp: {overload: {maxLag: 1s}}"), {Part.OVERLOAD}),
    "endpoints": (loaded("epp: {endpoints: {dns: ['a:80']}}"), {Part.ENDPOINTS}),
    "several": (loaded("epp: {logging: {format: json}, models: {rejectMissing: true}}"), {Part.LOGGING, Part.MODELS}),
    "nothing but a remark": (loaded("# a remark"), set()),
    "what was the default": (loaded("epp: {scraping: {interval: 1000ms}, serving: {port: 9002}}"), set()),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_can_change_is_exchanged(case: str) -> None:
    new, parts = CHANGES[case]
    plan = plan_reload(loaded(), new)
    assert plan.parts == parts
    assert plan.kept == ()
    assert plan.loaded.settings == new.settings


def test_what_cannot_change_is_kept_and_told() -> None:
    new = loaded("epp: {serving: {port: 1, tls: {certDir: /x}}, health: {slowStart: 1m}, logging: {verbosity: 3}}")
    plan = plan_reload(loaded(), new)
    assert plan.parts == {Part.LOGGING}
    assert [str(problem) for problem in plan.kept] == [
        "f:5:23: epp.serving.port: 1 takes effect at the next start; until then 9002 is kept",
        "f:5:41: epp.serving.tls.certDir: '/x' takes effect at the next start; until then '' is kept",
        "f:5:67: epp.health.slowStart: '1m' takes effect at the next start; until then '30s' is kept",
    ]
    assert plan.loaded.settings.serving == loaded().settings.serving
    assert plan.loaded.settings.router == loaded().settings.router
    assert plan.loaded.settings.logging == new.settings.logging


def test_what_is_no_longer_written_is_told_with_the_file() -> None:
    old = loaded("epp: {serving: {drainTimeout: 7s, tls: {certDir: /x}}}", secure_serving="false", bind="127.0.0.1")
    for text in ("", "epp: {serving: {port: 9002}}"):
        plan = plan_reload(old, loaded(text, secure_serving="false", bind="127.0.0.1"))
        assert [str(problem) for problem in plan.kept] == [
            "f: epp.serving.drainTimeout: '30s' takes effect at the next start; until then '7s' is kept",
            "f: epp.serving.tls.certDir: '' takes effect at the next start; until then '/x' is kept",
        ]


def test_what_is_in_effect_says_what_waits() -> None:
    old = loaded("epp: {serving: {port: 7}}")
    plan = plan_reload(old, loaded("epp: {serving: {port: 8}, scraping: {interval: 2s}}"))
    text = effective_text(plan.loaded)
    assert "    port: 7  # f:5\n" in text
    assert "# Waiting for a restart:\n# - f:5:23: epp.serving.port: 8 takes effect at the next start" in text
    assert "    interval: 2s  # f:5\n" in text


def test_the_next_reload_compares_with_what_is_in_effect() -> None:
    new = loaded("epp: {serving: {port: 8}, logging: {verbosity: 3}}")
    first = plan_reload(loaded(), new)
    again = plan_reload(first.loaded, new)
    assert again.parts == frozenset()
    assert [problem.key for problem in again.kept] == ["epp.serving.port"]
    assert plan_reload(again.loaded, loaded()).parts == {Part.LOGGING}
    assert plan_reload(again.loaded, loaded()).kept == ()


def test_every_part_has_a_section() -> None:
    sections = (getattr(EppSection(), name) for name in EppSection.model_fields)
    assert {section.takes_effect for section in sections} == {*Part, None}

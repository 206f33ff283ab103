"""Whatever becomes of a valid file, reading it gives settings or a ConfigError whose places lie within the file."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.config import ConfigError, ConfigFile, Problem, build_profile, effective_text, read_settings

FOLDER = Path(__file__).parents[1] / "data" / "llm-d"
EVERYTHING = """\
apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
plugins:
- name: a
  type: session-affinity-scorer
  parameters: {strategy: session_id, sessionIdConfig: {sources: [{header: x}]}}
- {name: b, type: utilization-filter, parameters: {conditions: [{metric: waiting-queue, maxValue: 3}]}}
- {name: c, type: core-metrics-extractor, parameters: {engineConfigs: [{name: x, kvUsageSpec: "k{a=b}"}]}}
schedulingProfiles: [{name: default, plugins: [{pluginRef: a, weight: 2}, {pluginRef: b}]}]
epp:
  endpoints: {static: ["10.0.0.1:8000"], srv: [_a._tcp.b], lookups: {nameservers: ["10.0.0.2"]}}
  models: {rewrites: [{models: [m], targets: [{model: n, weight: 3}]}]}
  scraping: {interval: 2s, engines: {x: {running: r}}}
  exchange: {maxBodyBytes: 1MiB}
"""
TEXTS = [EVERYTHING, *(path.read_text() for path in sorted(FOLDER.glob("*.yaml")))]
WORDS = [
    *(
        "",
        "~",
        "null",
        "true",
        "-1",
        "0",
        "1e9",
        ".5",
        "'",
        '"',
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "-",
        "- ",
        "#",
        "&a",
        "*a",
    ),
    *("!t", "<<", "|", ">", "\n", "\t", "  ", "---", "...", "é", "\u2028", "\x00", "9" * 25),
    *("name", "type", "pluginRef", "queue-scorer", "epp", "5s"),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just({"x": {"y": [1]}}),
)


def check(text: str) -> None:
    """Reads a file as a start does."""
    last = max(1, len(text.splitlines()))
    for problem in problems_of(text):
        assert problem.place.source == "f"
        assert 1 <= problem.place.line <= last, (problem, last)
        assert problem.message


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        loaded = read_settings({}, {}, ConfigFile(text.encode("utf-8", "replace"), "f"))
        build_profile(loaded.settings)
        effective_text(loaded)
    except ConfigError as error:
        return error.problems
    return ()


@settings(deadline=None)
@given(
    st.sampled_from(TEXTS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(WORDS)), max_size=3)
)
def test_cuts_and_words_in_the_text(text: str, edits: list[tuple[float, int, str]]) -> None:
    for share, length, word in edits:
        start = int(share * len(text))
        text = text[:start] + word + text[start + length :]
    check(text)


@settings(deadline=None)
@given(st.sampled_from(TEXTS), st.floats(0, 1), st.data())
def test_other_values_and_keys_in_the_document(text: str, share: float, data: st.DataObject) -> None:
    document = yaml.safe_load(text)
    places = list(_places(document))
    container, key = places[int(share * (len(places) - 1))]
    match data.draw(st.integers(0, 3)):
        case 0:
            container[key] = data.draw(VALUES)
        case 1:
            del container[key]
        case 2 if isinstance(container, dict):
            container[data.draw(st.sampled_from(["x", "naem", "epp", "parameters", ""]))] = container.pop(key)
        case _ if isinstance(container, list):
            container.append(container[key])
    check(yaml.safe_dump(document, default_flow_style=data.draw(st.booleans())))


def _places(value: object) -> list[tuple[dict[object, object] | list[object], object]]:
    """Every key and index of a document with what it is of."""
    if isinstance(value, dict):
        pairs: list[tuple[object, object]] = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    assert isinstance(value, dict | list)
    return [(value, key) for key, _ in pairs] + [place for _, inner in pairs for place in _places(inner)]


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    check(text)

from __future__ import annotations

import pytest

from epp.config.errors import Findings
from epp.config.file_model import read_parts
from epp.config.plugins import resolve_plugins
from epp.config.profiles import ProfileSpec, choose_profile, default_spec
from epp.config.yaml_document import read_document
from epp.scheduling import default_profile

PLUGINS = """\
plugins:
- {name: queue, type: queue-scorer}
- {name: prefix, type: prefix-cache-scorer}
- {name: length, type: context-length-aware}
- {name: decode, type: decode-filter}
- {name: cost, type: least-work-cost}
- {name: cost2, type: least-work-cost}
- {name: verifier, type: destination-endpoint-served-verifier}
- {name: absent, type: latency-scorer}
- {name: handler, type: single-profile-handler}
- {name: broken, type: queue-scorr}
"""
PICKERS = "- {name: max, type: max-score-picker}\n- {name: random, type: random-picker}\n"


def choose(text: str) -> tuple[ProfileSpec, Findings]:
    findings = Findings()
    root = read_document(text.encode(), "f", findings)
    assert root is not None
    file = read_parts(root, findings)
    resolved = resolve_plugins(file, Findings())
    return choose_profile(file, resolved, findings), findings


def profile(*refs: str, pickers: bool = False) -> str:
    plugins = "".join(f"  - {{pluginRef: {ref}}}\n" for ref in refs)
    return f"{PLUGINS}{PICKERS if pickers else ''}schedulingProfiles:\n- name: p\n  plugins:\n{plugins}"


def shape(spec: ProfileSpec) -> str:
    """The profile in one line."""
    scorers = [f"{use.plugin.name}*{use.weight:g}" for use in spec.scorers]
    cost = [f"cost {spec.cost.name}"] if spec.cost else []
    listeners = [f"hook {plugin.name}" for plugin in spec.listeners]
    names = [plugin.name for plugin in spec.filters]
    return " ".join([spec.name + ":", *names, *scorers, *cost, f"> {spec.picker.name}", *listeners])


SHAPES = {
    "scorers get the Go picker's picker": (
        profile("queue", "prefix"), "p: queue*1 prefix*1 > max-score-picker hook verifier",
    ),
    "a cost gets ours": (profile("cost"), "p: cost cost > rendezvous-picker hook verifier"),
    "a listed picker is used": (profile("queue", pickers=True), "p: queue*1 > max hook verifier"),
    "a named picker is used": (profile("queue", "random", pickers=True), "p: queue*1 > random hook verifier"),
    "one plugin may filter and score": (profile("length"), "p: length length*1 > max-score-picker hook verifier"),
    "weights": (
        f"{PLUGINS}schedulingProfiles: [{{name: p, plugins: [{{pluginRef: queue, weight: 2.5}}, "
        "{pluginRef: prefix, weight: 0}]}]",
        "p: queue*2.5 prefix*0 > max-score-picker hook verifier",
    ),
    "filters alone are completed by the default cost": (
        profile("decode"), "p: decode cost least-work-cost > rendezvous-picker hook verifier",
    ),
    "chance needs no values": (profile("decode", "random", pickers=True), "p: decode > random hook verifier"),
    "a hook that a profile names comes once": (
        profile("queue", "verifier"), "p: queue*1 > max-score-picker hook verifier",
    ),
    "what is not here is left out": (profile("absent", "queue"), "p: queue*1 > max-score-picker hook verifier"),
    "nothing but what is not here": (profile("absent"), "p: cost least-work-cost > rendezvous-picker hook verifier"),
    "without profiles all plugins make one": (
        "plugins: [{type: queue-scorer}, {type: decode-filter}, {type: random-picker}]",
        "default: decode-filter queue-scorer*1 > random-picker",
    ),
    "without profiles and scorers the default decides": (
        "plugins: [{type: single-profile-handler}]", "default: cost least-work-cost > rendezvous-picker",
    ),
    "default is preferred": (
        f"{PLUGINS}schedulingProfiles:\n- {{name: a, plugins: [{{pluginRef: queue}}]}}\n"
        "- {name: default, plugins: [{pluginRef: prefix}]}",
        "default: prefix*1 > max-score-picker hook verifier",
    ),
    "decode is preferred to prefill": (
        f"{PLUGINS}schedulingProfiles:\n- {{name: prefill, plugins: [{{pluginRef: queue}}]}}\n"
        "- {name: decode, plugins: [{pluginRef: prefix}]}",
        "decode: prefix*1 > max-score-picker hook verifier",
    ),
    "else the first": (
        f"{PLUGINS}schedulingProfiles:\n- {{name: b, plugins: [{{pluginRef: queue}}]}}\n"
        "- {name: a, plugins: [{pluginRef: prefix}]}",
        "b: queue*1 > max-score-picker hook verifier",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPES)
def test_what_a_file_says_becomes_a_profile(case: str) -> None:
    text, expected = SHAPES[case]
    spec, findings = choose(text)
    assert findings.errors == []
    assert shape(spec) == expected


ERRORS = {
    "scorers and a cost": (
        profile("queue", "cost"),
        "f:13:3: schedulingProfiles[0]: has scorers (queue) and the cost cost: a profile has one or the other",
    ),
    "two costs": (
        profile("cost", "cost2"),
        "f:13:3: schedulingProfiles[0]: has several costs (cost, cost2): one can decide",
    ),
    "two pickers": (
        profile("queue", "max", "random", pickers=True),
        "f:15:3: schedulingProfiles[0]: has several pickers (max, random): one can decide",
    ),
    "two profiles of one name": (
        profile("queue") + "- {name: p}\n",
        "f:16:3: schedulingProfiles[1]: profile 'p' stands twice, first in line 13",
    ),
    "without profiles, what cannot be one": (
        "plugins: [{type: queue-scorer}, {type: least-work-cost}]",
        "f:1:1: plugins: without schedulingProfiles all plugins make one profile, and these cannot: write the profile",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_profile_that_cannot_be_is_an_error(case: str) -> None:
    text, expected = ERRORS[case]
    _, findings = choose(text)
    assert [str(error) for error in findings.errors] == [expected]


def test_a_reference_to_nothing_or_a_faulty_entry_is_no_second_finding() -> None:
    _, findings = choose(profile("broken", "nothing"))
    assert findings.errors == []
    assert findings.warnings == []


def test_weights_of_others_than_scorers_and_places_without_effect_are_warnings() -> None:
    text = (
        f"{PLUGINS}schedulingProfiles:\n- name: p\n  plugins:\n  - {{pluginRef: queue}}\n"
        "  - {pluginRef: decode, weight: 2}\n  - {pluginRef: handler}\n"
    )
    _, findings = choose(text)
    assert [str(warning) for warning in findings.warnings] == [
        "f:16:17: schedulingProfiles[0].plugins[1].weight: weight has no effect: 'decode' is no scorer",
        "f:17:17: schedulingProfiles[0].plugins[2]: plugin 'handler' has no place in a profile and no effect in this "
        "one",
    ]


def test_a_second_profile_is_not_here() -> None:
    text = SHAPES["decode is preferred to prefill"][0]
    _, findings = choose(text)
    assert [str(problem) for problem in findings.absent] == [
        "f:14:3: schedulingProfiles[1]: one profile is used here, 'decode': handlers that choose among several are "
        "not here"
    ]


def test_the_default_cost_in_the_place_of_scorers_is_told() -> None:
    assert [str(warning) for warning in choose(profile("decode"))[1].warnings] == [
        "f:13:3: schedulingProfiles[0]: has neither scorers nor a cost: least-work-cost decides "
        "(the Go picker would pick at random)"
    ]
    assert [str(problem) for problem in choose(profile("absent"))[1].absent] == [
        "f:13:3: schedulingProfiles[0]: no scorer of this profile is here: least-work-cost decides"
    ]


def test_the_default_is_the_schedulers_own() -> None:
    spec, ours = default_spec(), default_profile()
    assert spec.name == ours.name
    assert [(plugin.name, plugin.make()) for plugin in spec.plugins()] == [
        (slot.name, slot.plugin) for slot in ours.slots()
    ]

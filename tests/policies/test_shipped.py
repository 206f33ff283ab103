"""The files that are shipped: each starts a picker as it stands, and does what it is named after."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import epp.policies
from epp.config import ConfigFile, Loaded, build_profile, check_text, read_settings
from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings
from epp.policies import names, text_of
from epp.prefix import PrefixIndex, chain_of
from epp.scheduling import Decision, Features, Profile, Scheduler, default_profile
from tests.docs.pages import cells
from tests.scheduling.scene import NoCaches, request

SHAPES = {
    "bounded-load-hash": "bounded-load-hash-cost > max-score-picker",
    "default": "least-work-cost > rendezvous-picker",
    "dynamo": "dynamo-cost > max-score-picker",
    "least-requests": "least-requests-cost > max-score-picker",
    "least-uncached-work": "least-uncached-work-cost > max-score-picker",
    "llm-d-default": "queue-scorer*2 kv-cache-utilization-scorer*2 prefix-cache-scorer*3 > max-score-picker",
    "llm-d-legacy": "queue-scorer*2 kv-cache-utilization-scorer*2 prefix-cache-scorer*3 no-hit-lru-scorer*2"
    " > max-score-picker",
    "llm-d-sticky": "prefix-cache-affinity-filter token-load-scorer*1 > max-score-picker",
    "lmetric": "lmetric-cost > max-score-picker",
    "longest-prefix": "longest-prefix-cost > max-score-picker",
    "ramjet": "ramjet-cost > max-score-picker",
    "random": "> random-picker",
    "round-robin": "least-requests-cost > round-robin-picker",
    "two-tier": "two-tier-cost > max-score-picker",
}


def loaded(name: str) -> Loaded:
    return read_settings({"endpoint": ("10.0.0.1:8000",)}, {}, ConfigFile(text_of(name).encode(), name))


def shape(found: Loaded) -> str:
    profile = found.settings.profile
    scorers = [f"{use.plugin.name}*{use.weight:g}" for use in profile.scorers]
    cost = [profile.cost.name] if profile.cost else []
    return " ".join([*(plugin.name for plugin in profile.filters), *scorers, *cost, ">", profile.picker.name])


def test_every_file_of_the_folder_is_shipped() -> None:
    folder = Path(epp.policies.__file__).parent
    assert names() == tuple(sorted(path.stem for path in folder.glob("*.yaml")))
    assert set(names()) == set(SHAPES)


@pytest.mark.parametrize("name", ["", "nothing", "../config/schema", "default.yaml", "shipped"])
def test_a_name_that_is_not_shipped_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match="is no policy that is shipped; there are bounded-load-hash, default, dynamo"):
        text_of(name)


@pytest.mark.parametrize("name", names())
def test_a_file_says_what_it_is_where_it_is_from_and_when_to_use_it(name: str) -> None:
    comment = [line for line in text_of(name).splitlines() if line.startswith("#")]
    assert comment[1] == "#", "a line that names it stands alone"
    parts = [line.partition(": ")[0] for line in comment if line.partition(": ")[0] in ("# What", "# Source", "# When")]
    assert parts == ["# What", "# Source", "# When"]


@pytest.mark.parametrize("name", names())
def test_a_check_finds_nothing(name: str) -> None:
    report = check_text(text_of(name).encode(), name)
    assert (report.errors, report.warnings, report.absent) == ((), (), ())


@pytest.mark.parametrize("name", names())
def test_a_file_is_the_profile_that_it_is_named_after(name: str) -> None:
    assert shape(loaded(name)) == SHAPES[name]


def test_the_default_file_is_what_runs_without_any() -> None:
    built, default = build_profile(loaded("default").settings), default_profile()
    assert [(slot.name, repr(slot.plugin)) for slot in built.slots()] == [
        (slot.name, repr(slot.plugin)) for slot in default.slots()
    ]


class Faults:
    """Plugins must not fail here: a failure would be neutral, and unseen."""

    def plugin_failed(self, name: str, error: Exception) -> None:
        raise AssertionError(f"{name} failed") from error

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        raise AssertionError(f"{name} took {seconds} s")


def placed(profile: Profile) -> Counter[str]:
    """Where 80 requests go that come at once to 8 endpoints: 8 blocks that all share, and 2 of their own."""
    pool, index = EndpointPool(PoolSettings(), NoCaches()), PrefixIndex()
    pool.replace([EndpointSpec(f"10.0.0.{number}:8000") for number in range(1, 9)], 0.0)
    scheduler = Scheduler(pool, index, profile, np.random.default_rng(1))
    places: Counter[str] = Counter()
    for number in range(80):
        chain = chain_of([b"s" * 8 * 256, f"{number:>8}".encode() * 64], 0)
        asked = replace(request(), prompt_bytes=10 * 256)
        decision = scheduler.schedule(asked, Features(chain, 640.0, 64.0, 100.0), (), 0.0)
        assert isinstance(decision, Decision)
        (placement,) = decision.placements
        for _, hook in profile.placed_hooks:
            hook.placed(asked, placement, 0.0)
        pool.ledger.charge(placement.ref.row, placement.uncached_tokens, placement.context_tokens, 0.0)
        index.insert(chain, placement.ref.row)
        places[placement.address] += 1
    return places


MOST = {
    **dict.fromkeys(set(names()) - {"random"}, 10),
    "bounded-load-hash": 13,  # 1.25 times the mean, and the request that goes over it
    "llm-d-default": 80,  # 3 times a match of 80 % outweighs the longest queue, 2, while KV caches are empty
    "llm-d-legacy": 80,  # likewise; no request but the first is cold
    "llm-d-sticky": 80,  # sticky until 18 s of prefill are in front
    "longest-prefix": 80,  # whoever gets the first
    "two-tier": 33,  # load counts from a difference of 33 requests on
}
"""Requests on the fullest endpoint; 10 each are even."""


@pytest.mark.parametrize("name", sorted(set(names()) - {"random"}))
def test_what_a_system_prompt_that_all_share_does_to_a_burst(name: str) -> None:
    places = placed(build_profile(loaded(name).settings, Faults()))
    assert sum(places.values()) == 80
    assert max(places.values()) == MOST[name]


def test_the_policy_guide_tells_the_same() -> None:
    rows = [row for row in cells("docs/policy.md", "Profiles of the field") if len(row) == 4]
    fullest = {row[0].strip("`"): row[2] for row in rows}
    assert fullest == {name: str(MOST.get(name, "")) for name in names()}

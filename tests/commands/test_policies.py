"""Policies by what people call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.commands.policies import label_of, labels_of, load_policy, policy_names, warnings_of
from epp.config.errors import ConfigError
from epp.simulator.oracles import ORACLES
from tests.simulator.plays import play, pool, spread

QUEUES = """apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}]}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ours.yaml"
    path.write_text(QUEUES)
    return path


@pytest.mark.parametrize("name", policy_names())
def test_what_is_listed_places_calls(name: str) -> None:
    assert load_policy(name).name == name
    assert play(spread(12), pool(2), load_policy(name)).calls.ok.all()


def test_a_file_is_called_by_its_name_and_used(file: Path) -> None:
    policy = load_policy(str(file))
    assert policy.name == "ours"
    assert play(spread(12), pool(2), policy).policy == "ours"


def test_files_of_one_name_are_told_apart() -> None:
    assert labels_of(["a/x.yaml", "b/y.yaml"]) == {"a/x.yaml": "x", "b/y.yaml": "y"}
    assert labels_of(["a/x.yaml", "b/x.yaml"]) == {"a/x.yaml": "a/x.yaml", "b/x.yaml": "b/x.yaml"}
    assert labels_of(["default", "a/default.yaml"])["a/default.yaml"] == "a/default.yaml"
    assert label_of("default") == "default"


@pytest.mark.parametrize("name", ["deflaut", "oracle-marginale"])
def test_a_near_miss_gets_a_suggestion(name: str) -> None:
    with pytest.raises(ConfigError, match=r"did you mean '(default|oracle-marginal)'"):
        load_policy(name)


@pytest.mark.parametrize("name", ["\x1b[31mred", "nul\0", "x" * 10_000, "no/such.yaml", "[bold]", ""])
def test_names_that_are_none_are_said_and_do_no_harm(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_policy(name)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_what_is_absent_is_told(tmp_path: Path) -> None:
    path = tmp_path / "go.yaml"
    path.write_text(QUEUES.replace("[{type: queue-scorer}]", "[{type: queue-scorer}, {type: latency-scorer}]"))
    assert any("latency-scorer" in text for text in warnings_of(str(path)))
    assert [warnings_of(name) for name in ORACLES] == [(), ()]

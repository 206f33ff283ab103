"""Files of the Go picker start here: unchanged, with warnings where something is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.config import ConfigFile, FileSettings, Loaded, build_profile, check_text, read_settings

FOLDER = Path(__file__).parents[1] / "data" / "llm-d"
ENDPOINTS = FileSettings(Path("/etc/llm-d/endpoints.yaml"), watch=True)


def loaded(name: str, **flags: str) -> Loaded:
    given_flags = {name.replace("_", "-"): value for name, value in flags.items()}
    return read_settings(given_flags, {}, ConfigFile((FOLDER / f"{name}.yaml").read_bytes(), name))


def shape(found: Loaded) -> str:
    profile = found.settings.profile
    scorers = [f"{use.plugin.name}*{use.weight:g}" for use in profile.scorers]
    cost = [profile.cost.name] if profile.cost else []
    return " ".join([*(plugin.name for plugin in profile.filters), *scorers, *cost, ">", profile.picker.name])


def test_file_discovery() -> None:
    found = loaded("file-discovery")
    assert shape(found) == (
        "queue-scorer*2 kv-cache-utilization-scorer*2 prefix-cache-scorer*3 no-hit-lru-scorer*2 > max-score-picker"
    )
    assert found.settings.discovery.file == ENDPOINTS
    assert found.warnings == ()


def test_single_profile() -> None:
    found = loaded("single-profile")
    assert shape(found) == "queue-scorer*1 prefix-cache-scorer*2 > max-score-picker"
    assert found.settings.profile.scorers[1].plugin.arguments["match_length_weight"] == 0.25
    assert found.settings.discovery.file is not None
    assert found.warnings == ()


def test_top_level_discovery() -> None:
    found = loaded("top-level-discovery")
    assert shape(found) == "queue-scorer*1 > max-score-picker"
    assert found.settings.discovery.file is not None
    assert found.warnings == ()


def test_sticky_until_saturated() -> None:
    found = loaded("sticky")
    assert shape(found) == "prefix-cache-affinity-filter token-load-scorer*1 > max-score-picker"
    assert found.written.section.prefix.capacity_tokens == 640_000
    assert found.warnings == ()
    build_profile(found.settings)


def test_disaggregated_starts_with_warnings() -> None:
    found = loaded("disaggregated")
    assert shape(found) == "decode-filter prefix-cache-scorer*2 queue-scorer*1 > max-score-picker"
    assert [(warning.place.line, warning.key) for warning in found.warnings] == [
        (4, "featureGates[0]"),
        (14, "plugins[6].type"),
        (17, "plugins[7].type"),
        (27, "schedulingProfiles[1]"),
    ]


def test_the_old_group() -> None:
    found = loaded("old-group", endpoints_file="/e")
    assert shape(found) == "queue-scorer*1 > random-picker"
    assert [(warning.place.line, warning.key) for warning in found.warnings] == [
        (1, "apiVersion"),
        (3, "featureGates[0]"),
        (3, "featureGates[1]"),
        (9, "saturationDetector"),
        (10, "parser"),
    ]


def test_bare() -> None:
    found = loaded("bare", endpoints_file="/e")
    assert shape(found) == "lora-affinity-scorer*1 kv-cache-utilization-scorer*1 > max-score-picker"
    assert len(found.warnings) == 2


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_check_finds_no_errors(path: Path) -> None:
    report = check_text(path.read_bytes(), path.name)
    assert report.errors == ()
    assert report.exit_code == (2 if path.stem == "disaggregated" else 0)

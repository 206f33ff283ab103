from __future__ import annotations

import pytest

from epp.config import ConfigError, ConfigFile, Settings, build_profile, settings_from
from epp.scheduling import Profile, Weighted

FLAGS = {"endpoint": ("10.0.0.1:8000",)}
TEXT = """\
plugins:
- {name: length, type: context-length-aware}
- {name: lru, type: no-hit-lru-scorer, parameters: {lruSize: 7}}
- {name: verifier, type: destination-endpoint-served-verifier}
schedulingProfiles:
- name: p
  plugins: [{pluginRef: length, weight: 2}, {pluginRef: lru, weight: 3}]
epp: {plugins: {slowAfter: 5ms, slowCalls: 9}}
"""


def settings(text: str) -> Settings:
    return settings_from(FLAGS, {}, ConfigFile(text.encode(), "f"))[0]


def weights(profile: Profile) -> list[tuple[str, float]]:
    return [(slot.name, slot.weight) for slot in profile.scorers if isinstance(slot, Weighted)]


def test_a_profile_is_built_as_the_file_says() -> None:
    profile = build_profile(settings(TEXT))
    assert [slot.name for slot in profile.slots()] == ["length", "length", "lru", "max-score-picker", "verifier"]
    assert weights(profile) == [("length", 2.0), ("lru", 3.0)]
    assert (profile.name, profile.slow_s, profile.slow_calls_allowed) == ("p", 0.005, 9)


def test_one_entry_is_one_plugin_wherever_it_stands() -> None:
    profile = build_profile(settings(TEXT))
    assert profile.filters[0].plugin is profile.scorers[0].plugin


def test_a_reload_keeps_plugins_whose_entry_is_unchanged() -> None:
    old = settings(TEXT)
    before = build_profile(old)
    after = build_profile(settings(TEXT.replace("weight: 2", "weight: 5")), before=(old, before))
    assert weights(after) == [("length", 5.0), ("lru", 3.0)]
    assert [new.plugin is slot.plugin for new, slot in zip(after.slots(), before.slots(), strict=True)] == [True] * 5
    other = build_profile(settings(TEXT.replace("lruSize: 7", "lruSize: 8")), before=(old, before))
    kept = {slot.name: slot.plugin is new.plugin for slot, new in zip(before.slots(), other.slots(), strict=True)}
    assert kept == {"length": True, "lru": False, "max-score-picker": True, "verifier": True}


def test_two_builds_share_nothing() -> None:
    one, two = build_profile(settings(TEXT)), build_profile(settings(TEXT))
    assert all(a.plugin is not b.plugin for a, b in zip(one.slots(), two.slots(), strict=True))


def test_a_plugin_that_cannot_be_made_is_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "fragile_policy.py").write_text(
        "class Fragile:\n    def __init__(self):\n        raise OSError('no such file')\n    def score(self): ...\n"
    )
    monkeypatch.syspath_prepend(folder)
    found = settings("plugins: [{type: 'fragile_policy:Fragile'}]")
    with pytest.raises(ConfigError, match=r"^f:1:11: .*Fragile cannot be made: OSError: no such file"):
        build_profile(found)

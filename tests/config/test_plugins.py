from __future__ import annotations

from pathlib import Path

import pytest

from epp.config.errors import ConfigError, Findings
from epp.config.file_model import read_parts
from epp.config.plugins import Absent, PluginSpec, Resolved, RoleUse, built_in, resolve_plugins
from epp.config.yaml_document import read_document
from epp.scheduling import LeastWorkCost, MaxScorePicker
from epp.scheduling.plugins.catalog import ABSENT, BUILT_IN, BUILT_IN_ROLES, Kind

OWN = """
from dataclasses import dataclass, field

class Cheapest:
    def __init__(self, label: str, limit_tokens: int = 5):
        if limit_tokens > 100:
            raise RuntimeError("too many")
        self.label, self.limit_tokens = label, limit_tokens
    def score(self, request, view): ...

@dataclass
class Both:
    share: float = 0.5
    def keep(self, request, view): ...
    def score(self, request, view): ...
    def placed(self, request, placement, now): ...

@dataclass
class Careless:
    table: list = field(default_factory=lambda: 1 / 0)
    size: int = 3
    def cost(self, request, view): ...

class Nothing:
    pass

not_a_class = 3
"""


@pytest.fixture
def _own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_policies.py").write_text(OWN)
    (tmp_path / "broken_policies.py").write_text("raise RuntimeError('at import\\nsecond line')")
    (tmp_path / "exiting_policies.py").write_text("raise SystemExit(3)")
    info = tmp_path / "own_policies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-policies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[epp.plugins]\ncheapest-scorer = own_policies:Cheapest\n")
    monkeypatch.syspath_prepend(tmp_path)


def resolve(text: str) -> tuple[dict[str, Resolved], Findings]:
    findings = Findings()
    root = read_document(text.encode(), "f", findings)
    assert root is not None
    return dict(resolve_plugins(read_parts(root, findings), findings)), findings


def errors_of(text: str) -> list[str]:
    return [str(error) for error in resolve(text)[1].errors]


def spec_of(text: str) -> PluginSpec:
    resolved, findings = resolve(text)
    assert findings.errors == []
    (found,) = resolved.values()
    assert isinstance(found, PluginSpec)
    return found


@pytest.mark.parametrize("type_", sorted(BUILT_IN))
def test_everything_built_in_has_the_kinds_that_its_class_shows(type_: str) -> None:
    spec = built_in(type_)
    assert spec.kinds >= BUILT_IN[type_].kinds
    assert spec.name == type_


@pytest.mark.parametrize("type_", sorted(BUILT_IN_ROLES))
def test_every_role_can_be_listed_but_those_that_need_a_path(type_: str) -> None:
    resolved, findings = resolve(f"plugins: [{{type: {type_}}}]")
    if type_ == "file-discovery":
        assert [str(error) for error in findings.errors] == [
            "f:1:11: plugins[0].parameters: path is missing or empty; it is required"
        ]
    else:
        assert isinstance(resolved[type_], RoleUse)
        assert findings.errors == []


@pytest.mark.parametrize("type_", sorted(ABSENT))
def test_what_is_not_here_says_what_happens_instead(type_: str) -> None:
    resolved, findings = resolve(f"plugins: [{{name: x, type: {type_}, parameters: {{what: ever}}}}]")
    assert resolved == {"x": Absent(type_)}
    assert [str(problem) for problem in findings.absent] == [
        f"f:1:27: plugins[0].type: {type_} is not here: {ABSENT[type_]}"
    ]
    assert findings.errors == []


def test_a_plugin_is_made_with_its_parameters_and_defaults() -> None:
    spec = spec_of("plugins: [{name: mine, type: least-work-cost, parameters: {impact: 0.2}}]")
    assert (spec.name, spec.type_name, spec.factory) == ("mine", "least-work-cost", LeastWorkCost)
    assert spec.make() == LeastWorkCost(impact=0.2)
    assert spec_of("plugins: [{type: max-score-picker}]").make() == MaxScorePicker()


def test_equal_entries_make_equal_specs_wherever_they_stand() -> None:
    one = spec_of("plugins: [{type: least-work-cost, parameters: {impact: 0.25}}]")
    assert one == spec_of("plugins:\n- type: least-work-cost\n") == built_in("least-work-cost")
    assert one != spec_of("plugins: [{type: least-work-cost, parameters: {impact: 0.2}}]")


def test_an_old_name_is_a_warning() -> None:
    _, findings = resolve("plugins: [{type: by-label-selector, parameters: {matchLabels: {a: b}}}]")
    assert [str(warning) for warning in findings.warnings] == [
        "f:1:18: plugins[0].type: by-label-selector is an old name: write label-selector-filter"
    ]


ERRORS = {
    "plugins: [{type: queue-scorr}]": (
        "f:1:18: plugins[0].type: no plugin type 'queue-scorr'; did you mean 'queue-scorer'?; "
        "a class of your own is written package.module:Class"
    ),
    "plugins: [{type: queue-scorer, parameters: {x: 1}}]": (
        "f:1:45: plugins[0].parameters: unknown key 'x'; none is allowed here"
    ),
    "plugins: [{type: no-hit-lru-scorer, parameters: {lruSize: 0}}]": (
        "f:1:37: plugins[0].parameters: lruSize is 0; it must be more than 0"
    ),
    "plugins: [{type: queue-scorer}, {type: queue-scorer}]": (
        "f:1:33: plugins[1]: name 'queue-scorer' stands here again, first in line 1: give one of them another name"
    ),
    "plugins: [{type: 'no_such_package.x:Y'}]": (
        "f:1:18: plugins[0].type: 'no_such_package.x:Y' cannot be imported: ModuleNotFoundError: "
        "No module named 'no_such_package'"
    ),
    "plugins: [{type: 'own_policies:Missing'}]": (
        "f:1:18: plugins[0].type: 'own_policies:Missing' names no class: own_policies has no class Missing"
    ),
    "plugins: [{type: 'own_policies:not_a_class'}]": (
        "f:1:18: plugins[0].type: 'own_policies:not_a_class' names no class: own_policies has no class not_a_class"
    ),
    "plugins: [{type: 'own_policies:Nothing'}]": (
        "f:1:18: plugins[0].type: 'own_policies:Nothing' is no plugin: a class with one of the methods keep, score, "
        "cost, pick, placed, replied, finished is"
    ),
    "plugins: [{type: 'broken_policies:X'}]": (
        "f:1:18: plugins[0].type: 'broken_policies:X' cannot be imported: RuntimeError: at import"
    ),
    "plugins: [{type: 'exiting_policies:X'}]": (
        "f:1:18: plugins[0].type: 'exiting_policies:X' cannot be imported: SystemExit: 3"
    ),
    "plugins: [{type: ':'}]": ("f:1:18: plugins[0].type: ':' cannot be imported: ValueError: Empty module name"),
    "plugins: [{type: 'own_policies:Cheapest'}]": "f:1:11: plugins[0].parameters: key 'label' is missing",
    "plugins: [{type: 'own_policies:Cheapest', parameters: {label: x, limitToken: 3}}]": (
        "f:1:66: plugins[0].parameters: unknown key 'limitToken'; did you mean 'limitTokens'?"
    ),
    "plugins: [{type: 'own_policies:Both', parameters: {share: lots}}]": (
        "f:1:59: plugins[0].parameters.share: must be a number, found 'lots'"
    ),
}


@pytest.mark.usefixtures("_own_module")
@pytest.mark.parametrize("text", ERRORS)
def test_an_entry_that_cannot_be_is_an_error(text: str) -> None:
    assert errors_of(text) == [ERRORS[text]]


@pytest.mark.usefixtures("_own_module")
@pytest.mark.parametrize("type_", ["own_policies:Cheapest", "cheapest-scorer"])
def test_an_operators_class_is_named_by_import_path_or_entry_point(type_: str) -> None:
    spec = spec_of(f"plugins: [{{name: c, type: '{type_}', parameters: {{label: zone, limit_tokens: 7}}}}]")
    assert spec.kinds == {Kind.SCORER}
    assert vars(spec.make()) == {"label": "zone", "limit_tokens": 7}


@pytest.mark.usefixtures("_own_module")
def test_an_operators_class_may_be_several_things() -> None:
    assert spec_of("plugins: [{type: 'own_policies:Both'}]").kinds == {Kind.FILTER, Kind.SCORER, Kind.HOOK}


@pytest.mark.usefixtures("_own_module")
def test_a_constructor_that_raises_is_told_with_its_place() -> None:
    spec = spec_of("plugins: [{type: 'own_policies:Cheapest', parameters: {label: x, limitTokens: 101}}]")
    with pytest.raises(
        ConfigError,
        match=r"^f:1:43: plugins\[0\]\.parameters: own_policies:Cheapest cannot be made: RuntimeError: too many$",
    ):
        spec.make()


@pytest.mark.usefixtures("_own_module")
def test_checking_runs_no_code_of_an_operators_class_but_its_module() -> None:
    spec = spec_of("plugins: [{type: 'own_policies:Careless'}]")
    assert spec.arguments == {"size": 3}
    with pytest.raises(ConfigError, match=r"own_policies:Careless cannot be made: ZeroDivisionError"):
        spec.make()

"""Names in the documents exist: metrics, keys, flags, targets, files, rooms."""

from __future__ import annotations

import re
import tomllib
from functools import cache

import click
import pytest

import bench.compare.__main__
import bench.http.__main__
import bench.study.__main__
import bench.validation.__main__
import epp
from epp.cli import COMMANDS, cli
from epp.config.flag_table import FLAGS
from epp.config.schema import config_schema
from epp.telemetry.catalogue import FAMILIES
from tests.docs.pages import GENERATED, PAGES, ROOT, WRITTEN, blocks, names, prose, text_of

METRICS = {family.name for family in FAMILIES}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

OTHERS_FLAGS = {"--api-key", "--enable-prompt-tokens-details", "--enable-force-include-usage", "--strict"}
"""Of vLLM and mypy."""


EXTRAS = ("'endpoint-picker[envoy]", "'endpoint-picker[report]", "'.[envoy]", "'.[report]")
BENCHES = (bench.compare.__main__, bench.http.__main__, bench.study.__main__, bench.validation.__main__)


@cache
def options() -> frozenset[str]:
    """Options of every command, and of what runs by `python -m bench...`."""
    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    own = {name for command in commands if command for one in command.params for name in one.opts}
    benches = {word for one in BENCHES for word in re.findall(r"--[a-z-]+", one.parser().format_usage())}
    return frozenset(own | benches)


def test_metrics_exist() -> None:
    for page in WRITTEN:
        for name in re.findall(r"\b(?:llm_d_)?epp_[a-z0-9_]+[a-z0-9]\b(?!\*)", text_of(page)):
            family = re.sub(r"_(bucket|count|sum)$", "", name)
            assert name in METRICS or family in METRICS, f"{page}: {name}"


SCHEMA = config_schema()


def has_key(path: str) -> bool:
    node = SCHEMA
    for step in path.split("."):
        for choice in node.get("anyOf", ()):
            node = choice if "$ref" in choice else node
        if "$ref" in node:
            node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
        if step not in node.get("properties", {}):
            return False
        node = node["properties"][step]
    return True


def test_the_search_for_keys_finds_them_and_nothing_else() -> None:
    assert has_key("epp.exchange.maxBodyBytes")
    assert not has_key("epp.exchange.maxBodyByte")
    assert not has_key("epp.nothing.maxBodyBytes")


@pytest.mark.parametrize("page", WRITTEN)
def test_keys_exist(page: str) -> None:
    for name in names(page):
        if re.fullmatch(r"epp(\.[a-z]\w*){2,}(: \S+)?", name) and not name.endswith(".py"):
            key = name.partition(":")[0]
            assert key == "epp.plugins" or has_key(key), f"{page}: {name}"


@pytest.mark.parametrize("page", WRITTEN)
def test_flags_exist(page: str) -> None:
    known = {f"--{name}" for name in FLAGS} | options() | OTHERS_FLAGS | {"--help"}
    for name in names(page):
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", name):
            assert flag in known, f"{page}: {flag}"


@pytest.mark.parametrize("page", WRITTEN)
def test_targets_and_commands_exist(page: str) -> None:
    text = "\n".join((*names(page), *(block.text for block in blocks("console") if block.page == page)))
    for target in re.findall(r"(?<!\w)make ([a-z-]+)", text):
        assert target in TARGETS, f"{page}: make {target}"
    for name in names(page):
        if found := re.match(r"epp ([a-z-]+)", name):
            assert found[1] in COMMANDS, f"{page}: {name}"


@pytest.mark.parametrize("page", WRITTEN)
def test_files_exist(page: str) -> None:
    for name in names(page):
        if re.fullmatch(r"(?:epp|tests|docs|deploy|bench|proto|requirements|tools)/[\w./*-]*", name):
            assert list(ROOT.glob(name.rstrip("/"))), f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_told_to_install_a_package_of_somebody_else(page: str) -> None:
    for name in re.findall(r"pip install ('?[^\s`']+)", text_of(page)):
        assert name in ("'endpoint-picker[envoy]", "'endpoint-picker[report]", "'.[envoy]", "'.[report]"), (
            f"{page}: {name}"
        )


@pytest.mark.parametrize("page", WRITTEN)
def test_lines_have_a_width(page: str) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > 130 and not line.startswith("|")]
    assert not long


def test_rooms_are_those_of_the_package() -> None:
    (listing,) = [block.text for block in blocks() if block.page == "docs/architecture.md" and "\nepp/\n" in block.text]
    listed = set(re.findall(r"^  ([\w.]+?)/? ", listing, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "epp").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert listed == rooms - {"__init__.py", "__main__.py", "__pycache__"}
    outside = set(re.findall(r"^([a-z]+)/ ", listing, re.MULTILINE))
    assert all((ROOT / name).is_dir() for name in outside)


def test_layers_are_those_that_are_checked() -> None:
    (drawn,) = [
        block.text for block in blocks() if block.page == "docs/architecture.md" and block.text.startswith("cli > ")
    ]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    checked = [layer.replace("epp.", "").split(" | ") for layer in contracts[0]["layers"]]
    assert [layer.split(", ") for layer in re.sub(r"\s+", " ", drawn).strip().split(" > ")] == checked


def test_edges_say_so_in_their_first_line() -> None:
    for file in (ROOT / "epp").rglob("*.py"):
        lines = file.read_text("utf-8").splitlines()
        lifted = [number for number, line in enumerate(lines) if "noqa: TID251" in line]
        assert lifted in ([], [0]), file


def test_versions_are_this_one() -> None:
    newest = re.search(r"^## \[(.*?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == epp.__version__
    for page in WRITTEN:
        for tag in re.findall(r"endpoint-picker:([\d.]+\d)", text_of(page)):
            assert tag == epp.__version__, page


def test_generated_pages_are_named_as_such() -> None:
    for page in GENERATED:
        assert "This page is made from the code" in text_of(page)

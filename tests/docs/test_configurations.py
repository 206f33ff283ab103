"""YAML in the documents is what it says it is, and can be used."""

from __future__ import annotations

import re

import click
import pytest
import yaml

from epp.cli import cli
from epp.commands.pool_files import parse_pool, read_pool
from epp.commands.serve import serve
from epp.config import PickerCommand, check_text
from epp.discovery import parse_endpoint_file
from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.members import PoolReference
from epp.discovery.kubernetes.resources import pods_of, pool_of
from epp.telemetry.catalogue import FAMILIES
from tests.docs.pages import ROOT, Block, blocks

LABELS = {family.name: {*family.labels, "instance", "job"} for family in FAMILIES}


def of_kind(key: str, value: str = "") -> list[Block]:
    found = []
    for block in blocks("yaml"):
        content = yaml.safe_load(block.text)
        if key in content and (not value or content[key] == value):
            found.append(block)
    return found


def ids(block: Block) -> str:
    return f"{block.page}:{block.file_name}"


OTHERS = [block for block in of_kind("api") if "tokenizer" in block.text]
"""For a program of somebody else."""


def test_every_block_is_looked_at() -> None:
    kinds = ("EndpointPickerConfig", "Deployment", "Role")
    keys = (*(("kind", kind) for kind in kinds), ("endpoints", ""), ("groups", ""), ("pods", ""))
    looked_at = [block for key in keys for block in of_kind(*key)]
    assert sorted(map(ids, (*looked_at, *OTHERS))) == sorted(map(ids, blocks("yaml")))


OWN = [block for block in of_kind("kind", "EndpointPickerConfig") if "mypkg" in block.text]
"""Name a package of the reader's; `epp check` is run on them in test_commands."""


@pytest.mark.parametrize("block", [one for one in of_kind("kind", "EndpointPickerConfig") if one not in OWN], ids=ids)
def test_configurations_can_be_used(block: Block) -> None:
    report = check_text(block.text.encode(), block.file_name)
    assert (report.errors, report.warnings, report.absent) == ((), (), ())


@pytest.mark.parametrize("block", of_kind("endpoints"), ids=ids)
def test_endpoint_files_can_be_used(block: Block) -> None:
    file = parse_endpoint_file(block.text.encode(), block.file_name)
    assert file.problems == ()
    assert len(file.targets) == len(yaml.safe_load(block.text)["endpoints"])


@pytest.mark.parametrize("block", of_kind("pods"), ids=ids)
def test_pool_files_can_be_used(block: Block) -> None:
    assert parse_pool(block.text.encode(), block.file_name).pods


def test_pool_files_that_are_shipped_can_be_used() -> None:
    files = sorted((ROOT / "deploy" / "simulate").glob("*.yaml"))
    assert files
    for file in files:
        assert len(read_pool(file).pods) == 8


@pytest.mark.parametrize("block", of_kind("kind", "Role"), ids=ids)
def test_roles_allow_what_is_asked_for_and_no_more(block: Block) -> None:
    asked = (pods_of("ns", LabelSelector.of({"a": "b"})), pool_of(PoolReference("p", "ns")))
    rules = yaml.safe_load(block.text)["rules"]
    allowed = {".".join(filter(None, (kind, *rule["apiGroups"]))) for rule in rules for kind in rule["resources"]}
    assert allowed == {resource.kind for resource in asked}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}


@pytest.mark.parametrize("block", of_kind("kind", "Deployment"), ids=ids)
def test_deployments_are_those_of_the_image(block: Block) -> None:
    deployment = yaml.safe_load(block.text)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert isinstance(serve, PickerCommand)
    context = serve.make_context("serve", container["args"], parent=click.Context(cli))
    assert context.params["dns"]
    defaults = {"extproc": 9002, "health": 9003, "metrics": 9090}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == defaults
    for probe in (container["readinessProbe"], container["livenessProbe"]):
        assert probe["grpc"]["port"] == defaults["health"]
    assert pod["terminationGracePeriodSeconds"] > int(context.params["drain_timeout"].removesuffix("s"))


@pytest.mark.parametrize("block", of_kind("groups"), ids=ids)
def test_alerts_use_labels_that_their_metrics_have(block: Block) -> None:
    for group in yaml.safe_load(block.text)["groups"]:
        for rule in group["rules"]:
            metrics = re.findall(r"\b(?:llm_d_)?epp_\w+", rule["expr"])
            assert metrics
            common = set.intersection(*(LABELS[name] for name in metrics))
            grouped = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
            used = {name for names in grouped for name in re.split(r", *", names)}
            used |= set(re.findall(r"[{,] *(\w+)=", rule["expr"]))
            assert used <= common, rule["alert"]
            kept = set(re.split(r", *", grouped[0])) if grouped else common
            shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            assert shown <= kept, rule["alert"]

"""Which source settings mean, and that one which cannot be used is found out before anything is published."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from epp.config import DiscoverySettings, load
from epp.discovery import CombinedSource, EndpointFileError, FileSource, TargetSource
from epp.discovery.kubernetes import KubernetesSource
from epp.endpoints import EndpointSpec
from epp.process import StartError, sources
from epp.process.sources import source_of, try_out
from tests.process.picking import flags_of


def write(folder: Path, *entries: str) -> str:
    file = folder / "endpoints.yaml"
    file.write_text("endpoints:\n" + "".join(f"- {{name: e{n}, {entry}}}\n" for n, entry in enumerate(entries)))
    return str(file)


def discovery(*endpoints: str, file: str = "") -> DiscoverySettings:
    """Settings whose name server is not there."""
    flags = {"endpoint": endpoints} if endpoints else {}
    settings = load(flags_of(**flags, **({"endpoints_file": file} if file else {})), {}).settings.discovery
    return replace(settings, dns=replace(settings.dns, nameservers=(("127.0.0.1", 9),), timeout_s=0.2))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (discovery("10.0.0.1:80"), TargetSource),
        (discovery(file="f"), FileSource),
        (discovery("10.0.0.1:80", file="f"), CombinedSource),
        (load(flags_of(pool_name="p"), {}).settings.discovery, KubernetesSource),
    ],
)
def test_sources_are_those_of_the_settings(settings: DiscoverySettings, kind: type) -> None:
    assert type(source_of(settings)) is kind


@pytest.mark.parametrize("endpoints", [(), ("10.0.0.1:80",)], ids=["alone", "with others"])
async def test_a_file_that_cannot_be_read_fails_the_trial(endpoints: tuple[str, ...], tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(StartError, match=f"{tmp_path}/none: cannot be read"):
        await try_out(discovery(*endpoints, file=f"{tmp_path}/none"))
    assert asyncio.all_tasks() == before


async def test_a_cluster_without_a_way_to_it_fails_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none")
    with pytest.raises(StartError, match="no way to the Kubernetes API"):
        await try_out(load(flags_of(pool_name="p"), {}).settings.discovery)


async def test_a_file_that_can_be_read_passes(tmp_path: Path) -> None:
    await try_out(discovery(file=write(tmp_path, "address: 10.0.0.1, port: 80")))


async def test_names_that_are_not_known_yet_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TRIAL_S", 0.05)
    await try_out(discovery("10.0.0.1:80", file=write(tmp_path, "address: gpu.test, port: 80")))


async def test_nothing_is_published_beside_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    published: list[Sequence[EndpointSpec]] = []
    with pytest.raises(EndpointFileError):
        await source_of(discovery("10.0.0.1:80", file=f"{tmp_path}/none")).run(published.append)
    assert published == []

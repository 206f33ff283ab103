"""Resources as text in, resources as Python's values and findings as words out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from epp.manifests import Level, migrate, read_manifest

__all__ = ["NEW_GROUP", "OLD_GROUP", "Migrated", "migrated", "old"]

OLD_GROUP = "inference.networking.x-k8s.io"
NEW_GROUP = "inference.networking.k8s.io"


@dataclass(frozen=True)
class Migrated:
    """What came out."""

    resources: list[Any]
    errors: list[str]
    lost: list[str]
    notes: list[str]
    text: str


def migrated(*documents: str) -> Migrated:
    """Reads one file of these documents and migrates it. Findings read `LINE: SUBJECT: KEY: MESSAGE`."""
    manifest = read_manifest("---\n".join(documents).encode(), "f")
    migration = migrate(manifest.resources)
    said: dict[Level, list[str]] = {level: [] for level in Level}
    for finding in (*manifest.findings, *migration.findings):
        said[finding.level].append(str(finding).removeprefix("f:"))
    resources = [one for one in yaml.safe_load_all(migration.text) if one]
    return Migrated(resources, said[Level.ERROR], said[Level.LOST], said[Level.NOTE], migration.text)


def old(kind: str, spec: str, name: str = "a", version: str = "v1alpha2") -> str:
    """A resource of the older group; `spec` is in flow form."""
    return f"apiVersion: {OLD_GROUP}/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"

"""Collects what is found while one resource is translated."""

from __future__ import annotations

from collections.abc import Collection

from epp.documents import Node
from epp.manifests.findings import Finding, Level
from epp.manifests.nodes import fields
from epp.manifests.reading import Resource

__all__ = ["Remarks"]


class Remarks:
    """Findings about one resource, in the order in which they were made."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._found: list[Finding] = []

    def __repr__(self) -> str:
        return f"<Remarks on {self._resource.subject}, {len(self._found)}>"

    @property
    def found(self) -> tuple[Finding, ...]:
        """All of them."""
        return tuple(self._found)

    @property
    def failed(self) -> bool:
        """Whether there is an error: nothing can be made of the resource."""
        return any(finding.level is Level.ERROR for finding in self._found)

    def error(self, key: str, message: str, node: Node | None = None) -> None:
        """Nothing can be made of the resource, because of `key`, which stands at `node`."""
        self._add(Level.ERROR, key, message, node)

    def lost(self, key: str, message: str, node: Node | None = None) -> None:
        """Something is not carried over."""
        self._add(Level.LOST, key, message, node)

    def note(self, key: str, message: str, node: Node | None = None) -> None:
        """Something worth knowing."""
        self._add(Level.NOTE, key, message, node)

    def unknown(self, path: str, node: Node | None, known: Collection[str], message: str) -> None:
        """Every key of `node`, which is at `path`, that is not known is lost, with this message."""
        for key, value in fields(node).items():
            if key not in known and not value.is_null:
                self.lost(f"{path}.{key}" if path else key, message, value)

    def _add(self, level: Level, key: str, message: str, node: Node | None) -> None:
        resource = self._resource
        self._found.append(Finding(level, resource.source, resource.line(node), resource.subject, key, message))

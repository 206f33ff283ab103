"""Reads manifests: files of one or many resources, in YAML or JSON, as kubectl takes and prints them.

Documents are told apart by their markers, which YAML allows nowhere else at the beginning of a line, and each is read
by `epp.documents`. A document of one resource keeps its text, so that what need not change can go through byte for
byte. Lists are taken apart. Sizes, depth and aliases are bounded.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from epp.documents import Fault, Limits, Node, read_document
from epp.manifests.findings import Finding, Level
from epp.manifests.nodes import at, child, fields, items, text

__all__ = ["MAX_BYTES", "Manifest", "Resource", "read_manifest"]

MAX_BYTES = 16 * 1024 * 1024
"""Of a file. etcd takes no object above 1.5 MiB; this is a whole namespace."""

MAX_DEPTH = 100
"""Levels of nesting: schemas in custom resource definitions reach 50."""

MAX_NODES = 500_000
"""Values and keys of a file, aliases expanded: two seconds and 150 MB."""

MAX_DOCUMENTS = 20_000
MAX_FAULTS = 50
"""After so many the file is of another kind altogether."""

_MARKER = re.compile(r"^(?:---|\.\.\.)(?:[ \t]+([^ \t\r\n][^\n]*)|[ \t]*\r?)$", re.MULTILINE)
_LINE = re.compile(r"\bin line (\d{1,9})")
_COMMENT = re.compile(r"^[ \t]*#|[ \t]#", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, and where it was written."""

    source: str
    """The file's name."""
    lines_before: int
    """Lines of the file before its document."""
    root: Node
    text: str | None = None
    """The document as it was written; None for an item of a list, and in JSON."""
    commented: bool = False
    """Its document seems to have comments; said of the first resource of a list only."""

    def __repr__(self) -> str:
        return f"<Resource {self.subject} at {self.source}:{self.line()}>"

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return at(self.root, "apiVersion").rpartition("/")[0]

    @property
    def api_version(self) -> str:
        """Group and version."""
        return at(self.root, "apiVersion")

    @property
    def kind(self) -> str:
        """The kind."""
        return at(self.root, "kind")

    @property
    def namespace(self) -> str:
        """The namespace; empty where none is written."""
        return at(self.root, "metadata", "namespace")

    @property
    def name(self) -> str:
        """The name."""
        return at(self.root, "metadata", "name")

    @property
    def subject(self) -> str:
        """What messages call it."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()[:400]

    def line(self, node: Node | None = None) -> int:
        """The line of the file in which a node of it begins, or the resource itself."""
        inside = node.mark.line if node else 0
        return self.lines_before + (inside or self.root.mark.line)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file holds."""

    resources: tuple[Resource, ...]
    findings: tuple[Finding, ...]
    """Errors only; empty when all of the file could be read."""


def read_manifest(data: bytes, source: str) -> Manifest:
    """Reads a file's bytes; `source` is its name in messages. Does not raise.

    UTF-8, and UTF-16 with a byte order mark: PowerShell writes that.
    """
    if len(data) > MAX_BYTES:
        return _unreadable(source, f"larger than {MAX_BYTES >> 20} MiB: give its resources in several files")
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        written = data.decode(encoding)
    except UnicodeDecodeError as error:
        return _unreadable(source, f"not text in UTF-8: {error.reason} at byte {error.start}")
    return _read_all(written, source)


def _read_all(written: str, source: str) -> Manifest:
    resources: list[Resource] = []
    findings: list[Finding] = []
    nodes = 0
    for number, (before, document) in enumerate(_documents(written)):
        found, faults, read = _read_one(document, before, source)
        resources.extend(found)
        nodes += read
        over = _over(number + 1, nodes, len(findings) + len(faults))
        findings.extend(
            Finding(Level.ERROR, source, before + (fault.mark.line if fault.mark else 1), "", "", fault.message)
            for fault in (*faults[:MAX_FAULTS], *([Fault(over)] if over else ()))
        )
        if over:
            break
    return Manifest(tuple(resources), tuple(findings))


def _over(documents: int, nodes: int, faults: int) -> str:
    """Why reading ends here; empty when it goes on."""
    if documents > MAX_DOCUMENTS:
        return f"the file has more than {MAX_DOCUMENTS} documents: give it in parts"
    if nodes > MAX_NODES:
        return f"the file has more than {MAX_NODES} values, aliases expanded: give it in parts"
    return f"there are {MAX_FAULTS} errors or more: the rest of the file is not read" if faults >= MAX_FAULTS else ""


def _unreadable(source: str, message: str) -> Manifest:
    return Manifest((), (Finding(Level.ERROR, source, 0, "", "", message),))


def _documents(written: str) -> Iterator[tuple[int, str]]:
    """Each document that is not blank, and the number of lines before it. What stands in the line of a marker belongs
    to the document after it.
    """
    lines, begin = 0, 0
    for marker in chain(_MARKER.finditer(written), (None,)):
        end = marker.start() if marker else len(written)
        document = written[begin:end]
        if document and not document.isspace():
            yield lines, document if document.endswith("\n") else f"{document}\n"
        if marker:
            begin = marker.start(1) if marker[1] else min(marker.end() + 1, len(written))
            lines += document.count("\n") + (not marker[1])


def _read_one(document: str, before: int, source: str) -> tuple[list[Resource], tuple[Fault, ...], int]:
    """The resources of a document, what is wrong with it, and how many nodes it has."""
    read = read_document(document.encode(), Limits(MAX_DEPTH, MAX_NODES))
    if read.faults:
        return [], tuple(_told(fault, before, document) for fault in read.faults), 0
    if read.root is None or read.root.is_null:
        return [], (), 0
    commented = _COMMENT.search(document) is not None
    kept = None if document.lstrip().startswith("{") else document
    found: list[Resource] = []
    faults: list[Fault] = []
    for root in _flat(read.root):
        if at(root, "kind") and at(root, "apiVersion"):
            found.append(Resource(source, before, root, kept if root is read.root else None, commented and not found))
        else:
            faults.append(Fault("not a Kubernetes resource: it needs kind and apiVersion", root.mark))
    return found, tuple(faults), 2 * read.root.size


def _told(fault: Fault, before: int, document: str) -> Fault:
    """The fault with the file's lines in its message, where it speaks of another line of the document."""
    message = _LINE.sub(lambda found: f"in line {int(found[1]) + before}", fault.message)
    if "{{" in document:
        message += " (templates must be rendered first: helm template)"
    return Fault(message, fault.mark)


def _flat(root: Node) -> Iterator[Node]:
    """The resource, or those of a list. Items of a typed list may leave out what the list's kind says."""
    kind, api_version = at(root, "kind"), at(root, "apiVersion")
    named = at(root, "metadata", "name")  # lists have none, and a resource's kind may end like a list's
    if not kind.endswith("List") or named or not isinstance(fields(root).get("items", root).value, list):
        yield root
        return
    for item in items(child(root, "items")):
        if isinstance(item.value, dict) and kind != "List":
            given = {"apiVersion": text(api_version), "kind": text(kind.removesuffix("List"))}
            yield item._replace(value={**given, **item.value})
        else:
            yield from _flat(item)

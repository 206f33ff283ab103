"""The endpoint file, in the format of the Go picker's `file-discovery`: bytes in, targets and problems out. No IO.

    endpoints:
      - name: vllm-0            # required, unique within the file
        namespace: default      # optional
        address: "10.0.0.1"     # IPv4; here also IPv6, with or without brackets, and host names
        port: "8000"            # text or number
        metricsPort: "9090"     # optional, when the server's pages are on another port
        labels: {llm-d.ai/role: decode}

A problem of the whole file is an `EndpointFileError`; a bad entry is a `Problem`, and the others count. Of two entries
with one name, or with one address and port, the later counts, with a problem. Bad: a port of 0, `address: 10.0.0`, a
name that is missing.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from epp.discovery.targets import HostTarget, parse_host, parse_port
from epp.documents import Limits, Node, read_document

__all__ = ["MAX_FILE_BYTES", "EndpointFile", "EndpointFileError", "Problem", "parse_endpoint_file"]

MAX_FILE_BYTES = 1024 * 1024
"""The Go picker's limit."""

MAX_ENTRIES = 10_000
MAX_LABELS = 64
MAX_TEXT = 512
"""Characters of a name, namespace, label key or label value. Kubernetes allows 253 plus 63 for a label key."""

LIMITS = Limits(depth=8, nodes=200_000)
"""Four levels are needed. A file of the largest size that lists endpoints has fewer values and keys than this."""

_LINE_ENDS = (b"\n", b"\n\0")
"""The second one in UTF-16."""

_KEYS = frozenset({"name", "namespace", "address", "port", "metricsPort", "labels"})


class EndpointFileError(Exception):
    """The file cannot be used; says where, and what to do about it."""

    def __init__(self, path: str, line: int | None, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        self.path = path
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with one entry."""

    line: int
    message: str


class _EntryError(Exception):
    """An entry cannot be used."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """What a file lists."""

    targets: tuple[HostTarget, ...]
    problems: tuple[Problem, ...]


def parse_endpoint_file(data: bytes, path: str, *, changing: bool = False) -> EndpointFile:
    """Reads the file's bytes. `path` is for messages. Raises EndpointFileError.

    `changing`: somebody may be writing the file right now, and what is in use can stay. So whatever looks as if it were
    not all of the file raises, too: no line end at its end (unless brackets enclose everything and are closed), a bad
    last entry, or no good entry at all.
    """
    if len(data) > MAX_FILE_BYTES:
        raise EndpointFileError(path, None, f"larger than {MAX_FILE_BYTES} bytes: split it, or list host names")
    entries = _entries(data, path)
    if changing and not data.endswith(_LINE_ENDS) and not data.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
        raise EndpointFileError(path, None, "does not end with a line end, so it may be cut short: end its last line")
    listed: list[tuple[HostTarget, int]] = []
    problems: list[Problem] = []
    bad: _EntryError | None = None
    for entry in entries:
        try:
            listed.append((_target(entry, problems), entry.mark.line))
            bad = None
        except _EntryError as error:
            bad = error
            problems.append(Problem(error.line, f"{error}; the entry is skipped"))
    if changing and bad:
        raise EndpointFileError(path, bad.line, f"its last entry is bad, so it may be cut short: {bad}")
    targets = _without_doubles(listed, problems)
    return EndpointFile(targets, tuple(sorted(problems, key=lambda problem: problem.line)))


def _without_doubles(listed: Sequence[tuple[HostTarget, int]], problems: list[Problem]) -> tuple[HostTarget, ...]:
    """Of those that share a name, or an address and port, the last."""
    by_name: dict[str, HostTarget] = {}
    by_address: dict[tuple[str, int], str] = {}
    for target, line in listed:
        address = target.host, target.port
        before = by_address.get(address, "")
        if target.name in by_name:
            del by_name[target.name]  # the later entry also takes its place in the order
            problems.append(Problem(line, f"name {target.name!r} stands twice; the later entry counts"))
        elif before in by_name:
            del by_name[before]
            message = f"{target.host} port {target.port} stands twice, as {before!r} and here; the later entry counts"
            problems.append(Problem(line, message))
        by_name[target.name], by_address[address] = target, target.name
    return tuple(by_name.values())


def _entries(data: bytes, path: str) -> list[Node]:
    document = read_document(data, LIMITS)
    if document.faults:
        fault = document.faults[0]
        line = fault.mark.line if fault.mark else None
        raise EndpointFileError(path, line, f"{fault.message}; write a list of endpoints in YAML or JSON")
    root = document.root
    if root is None or not root.value or root.is_null:
        raise EndpointFileError(path, None, "empty: write 'endpoints: []' for no endpoints")
    if not isinstance(root.value, dict) or "endpoints" not in root.value:
        raise EndpointFileError(path, root.mark.line, "has no key 'endpoints' with the list of endpoints")
    endpoints = root.value["endpoints"]
    if not isinstance(endpoints.value, list):
        raise EndpointFileError(path, endpoints.mark.line, "'endpoints' must be a list; write [] for no endpoints")
    if len(endpoints.value) > MAX_ENTRIES:
        message = f"{len(endpoints.value)} entries, at most {MAX_ENTRIES} are read"
        raise EndpointFileError(path, endpoints.mark.line, message)
    return endpoints.value


def _target(entry: Node, problems: list[Problem]) -> HostTarget:
    """Raises _EntryError."""
    fields, line = entry.value, entry.mark.line
    if not isinstance(fields, dict):
        raise _EntryError(line, "an endpoint must be a mapping with name, address and port")
    if unknown := sorted(set(fields) - _KEYS):
        names = ", ".join(repr(key[:80]) for key in unknown[:5])
        problems.append(Problem(line, f"unknown key {names}, ignored; known are {', '.join(sorted(_KEYS))}"))
    metrics_port = _text(entry, fields, "metricsPort", "")
    address, port = _text(entry, fields, "address"), _text(entry, fields, "port")
    name, namespace = _text(entry, fields, "name"), _text(entry, fields, "namespace", "default")
    labels = _labels(fields.get("labels"))
    try:
        return HostTarget(
            host=parse_host(address),
            port=parse_port(port),
            name=name,
            namespace=namespace,
            labels=labels,
            metrics_port=parse_port(metrics_port) if metrics_port else None,
        )
    except ValueError as error:
        raise _EntryError(line, str(error)) from None


def _text(entry: Node, fields: Mapping[str, Node], key: str, default: str | None = None) -> str:
    """A field's text; the default when it is absent or empty. Raises _EntryError when there is no default."""
    node = fields.get(key)
    value = "" if node is None or node.is_null else node.value
    line = (node or entry).mark.line
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _EntryError(line, f"'{key}' must be text of at most {MAX_TEXT} characters")
    text = value.strip() or default
    if text is None:
        raise _EntryError(line, f"'{key}' is missing")
    return text


def _labels(node: Node | None) -> Mapping[str, str]:
    if node is None or node.is_null or not node.value:
        return MappingProxyType({})
    if not isinstance(node.value, dict) or len(node.value) > MAX_LABELS:
        raise _EntryError(node.mark.line, f"'labels' must be a mapping of at most {MAX_LABELS} texts")
    labels: dict[str, str] = {}
    for key, item in node.value.items():
        if not isinstance(item.value, str) or len(key) > MAX_TEXT or len(item.value) > MAX_TEXT:
            raise _EntryError(item.mark.line, f"label {key[:80]!r} must be text of at most {MAX_TEXT} characters")
        labels[key] = "" if item.is_null else item.value
    return MappingProxyType(labels)

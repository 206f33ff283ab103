"""The endpoint file, in the format of the Go picker's `file-discovery`: bytes in, targets and problems out. No IO.

    endpoints:
      - name: vllm-0            # required, unique within the file
        namespace: default      # optional
        address: "10.0.0.1"     # IPv4; here also IPv6, with or without brackets, and host names
        port: "8000"            # text or number
        metricsPort: "9090"     # optional, when the server's pages are on another port
        labels: {llm-d.ai/role: decode}

A problem of the whole file is an `EndpointFileError`; a bad entry is a `Problem`, and the others count. Of two entries
with one name the later counts, with a problem. Bad: a port of 0, `address: 10.0.0`, a name that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from epp.discovery.documents import DocumentError, Node, read_document
from epp.discovery.targets import HostTarget, parse_host, parse_port

__all__ = ["MAX_FILE_BYTES", "EndpointFile", "EndpointFileError", "Problem", "parse_endpoint_file"]

MAX_FILE_BYTES = 1024 * 1024
"""The Go picker's limit."""

MAX_ENTRIES = 10_000
MAX_LABELS = 64
MAX_TEXT = 512
"""Characters of a name, namespace, label key or label value. Kubernetes allows 253 plus 63 for a label key."""

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


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """What a file lists."""

    targets: tuple[HostTarget, ...]
    problems: tuple[Problem, ...]


def parse_endpoint_file(data: bytes, path: str, *, suspect_cut: bool = False) -> EndpointFile:
    """Reads the file's bytes. `path` is for messages. Raises EndpointFileError.

    `suspect_cut`: somebody may be writing the file right now, so a bad last entry that no line end follows is taken
    for a file cut short and raises, too.
    """
    if len(data) > MAX_FILE_BYTES:
        raise EndpointFileError(path, None, f"larger than {MAX_FILE_BYTES} bytes: split it, or list host names")
    entries = _entries(data, path)
    by_name: dict[str, HostTarget] = {}
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        try:
            target = _target(entry, problems)
        except DocumentError as error:
            line = error.line or entry.line
            if suspect_cut and index == len(entries) - 1 and not data.endswith(b"\n"):
                raise EndpointFileError(path, line, f"cut short in its last entry: {error}") from None
            problems.append(Problem(line, f"{error}; the entry is skipped"))
            continue
        if by_name.pop(target.name, None):
            problems.append(Problem(entry.line, f"name {target.name!r} stands twice; the later entry counts"))
        by_name[target.name] = target
    return EndpointFile(tuple(by_name.values()), tuple(problems))


def _entries(data: bytes, path: str) -> list[Node]:
    try:
        document = read_document(data)
    except DocumentError as error:
        raise EndpointFileError(path, error.line, f"{error}; write a list of endpoints in YAML or JSON") from None
    if document is None or not document.value:
        raise EndpointFileError(path, None, "empty: write 'endpoints: []' for no endpoints")
    if not isinstance(document.value, dict) or "endpoints" not in document.value:
        raise EndpointFileError(path, document.line, "has no key 'endpoints' with the list of endpoints")
    endpoints = document.value["endpoints"]
    if not isinstance(endpoints.value, list):
        raise EndpointFileError(path, endpoints.line, "'endpoints' must be a list; write [] for no endpoints")
    if len(endpoints.value) > MAX_ENTRIES:
        raise EndpointFileError(path, endpoints.line, f"{len(endpoints.value)} entries, at most {MAX_ENTRIES} are read")
    return endpoints.value


def _target(entry: Node, problems: list[Problem]) -> HostTarget:
    fields = entry.value
    if not isinstance(fields, dict):
        raise DocumentError("an endpoint must be a mapping with name, address and port", entry.line)
    if unknown := sorted(set(fields) - _KEYS):
        names = ", ".join(repr(key[:80]) for key in unknown[:5])
        problems.append(Problem(entry.line, f"unknown key {names}, ignored; known are {', '.join(sorted(_KEYS))}"))
    metrics_port = _text(fields, "metricsPort", "")
    try:
        return HostTarget(
            host=parse_host(_text(fields, "address")),
            port=parse_port(_text(fields, "port")),
            name=_text(fields, "name"),
            namespace=_text(fields, "namespace", "default"),
            labels=_labels(fields.get("labels")),
            metrics_port=parse_port(metrics_port) if metrics_port else None,
        )
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(str(error), entry.line) from None


def _text(fields: Mapping[str, Node], key: str, default: str | None = None) -> str:
    """A field's text; the default when it is absent or empty. Raises DocumentError when there is no default."""
    node = fields.get(key)
    value = node.value if node else ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise DocumentError(f"'{key}' must be text of at most {MAX_TEXT} characters", node.line if node else None)
    text = value.strip() or default
    if text is None:
        raise DocumentError(f"'{key}' is missing", node.line if node else None)
    return text


def _labels(node: Node | None) -> Mapping[str, str]:
    if node is None or not node.value:
        return MappingProxyType({})
    if not isinstance(node.value, dict) or len(node.value) > MAX_LABELS:
        raise DocumentError(f"'labels' must be a mapping of at most {MAX_LABELS} texts", node.line)
    labels: dict[str, str] = {}
    for key, item in node.value.items():
        if not isinstance(item.value, str) or len(key) > MAX_TEXT or len(item.value) > MAX_TEXT:
            raise DocumentError(f"label {key[:80]!r} must be text of at most {MAX_TEXT} characters", item.line)
        labels[key] = item.value
    return MappingProxyType(labels)

"""What a picker has used: its process and all that this one has started, as Linux tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.extproc.usage import cpu_s

__all__ = ["Usage", "family_of", "usage_of"]

_PROC = Path("/proc")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time since the start, and the most memory that was ever resident (`VmHWM`)."""

    cpu_s: float
    peak_rss_bytes: int


def usage_of(pid: int) -> Usage:
    """Of a process and its living descendants. Raises ProcessLookupError when it is gone."""
    if not (_PROC / str(pid)).exists():
        raise ProcessLookupError(f"process {pid} is gone")
    each = [usage for one in family_of(pid, _parents()) if (usage := _usage(one)) is not None]
    return Usage(sum(one.cpu_s for one in each), sum(one.peak_rss_bytes for one in each))


def family_of(pid: int, parents: Mapping[int, int]) -> list[int]:
    """A process and its descendants. `parents`: of each process."""
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    family = [pid]
    for one in family:  # grows while it is gone through
        family.extend(children.get(one, ()))
    return family


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (parent := _field(folder / "status", "PPid:")) is not None:
            found[int(folder.name)] = parent
    return found


def _usage(pid: int) -> Usage | None:
    """None when it ended meanwhile."""
    peak_kib = _field(_PROC / str(pid) / "status", "VmHWM:")
    try:
        return None if peak_kib is None else Usage(cpu_s(pid), peak_kib * _KIB)
    except OSError:
        return None


def _field(status: Path, name: str) -> int | None:
    try:
        lines: Iterable[str] = status.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), None)

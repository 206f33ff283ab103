"""Which format a trace has, told from its first line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from epp.workloads.errors import WorkloadError
from epp.workloads.formats.agent_sessions import read_agent_sessions
from epp.workloads.formats.azure import HEADER, read_azure
from epp.workloads.formats.decisions import read_decisions
from epp.workloads.formats.mooncake import read_mooncake
from epp.workloads.formats.requests import read_requests
from epp.workloads.lines import Line, TraceLines
from epp.workloads.types import Workload

__all__ = ["FORMATS", "Format", "format_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of traces."""

    title: str
    """For people."""
    keys: tuple[frozenset[str], ...]
    """Keys of a JSON line; one of the sets must be there. Empty: lines are not JSON."""
    read: Callable[[Sequence[TraceLines], str], Workload]
    """From files and a name for all of them to the workload. Raises WorkloadError."""
    ordered: bool = True
    """The first lines of a file are its first calls."""


def _single(read: Callable[[TraceLines], Workload]) -> Callable[[Sequence[TraceLines], str], Workload]:
    def read_one(files: Sequence[TraceLines], name: str) -> Workload:
        if len(files) > 1:
            raise WorkloadError(f"{name}: {len(files)} files in one archive; unpack it and read one of them")
        return read(files[0])

    return read_one


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "mooncake": Format("Mooncake", (frozenset({"hash_ids", "input_length"}),), _single(read_mooncake)),
        "agents": Format(
            "LMCache agent traces",
            (frozenset({"session_id", "input", "output"}),),
            read_agent_sessions,
            ordered=False,
        ),
        "decisions": Format("decision log of this program", (frozenset({"v", "t", "pool"}),), _single(read_decisions)),
        "requests": Format(
            "requests of OpenAI's APIs",
            tuple(frozenset({key}) for key in ("messages", "prompt", "input", "body")),
            _single(read_requests),
        ),
        "azure": Format("Azure LLM inference traces", (), _single(read_azure)),
    }
)
"""By name, the most telling first."""


def format_of(line: Line) -> str:
    """The name of the format that has such a first line. Raises WorkloadError when none has."""
    if line.text == HEADER:
        return "azure"
    try:
        keys = set(msgspec.json.decode(line.text, type=dict[str, msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        keys = set()
    for name, shape in FORMATS.items():
        if any(needed <= keys for needed in shape.keys):
            return name
    titles = ", ".join(shape.title for shape in FORMATS.values())
    raise line.fault(f"no trace that can be read. It must be one of: {titles}")

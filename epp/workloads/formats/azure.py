"""Azure's traces of LLM inference: CSV with arrivals and lengths, nothing of the content.

    TIMESTAMP,ContextTokens,GeneratedTokens
    2023-11-16 18:17:03.9799600,4808,10

Every prompt is a segment of its own, so nothing can be found in a cache. Traces of 2023 (code, conversation), and of
2024, whose times name a zone. Source: Azure/AzurePublicDataset, CC-BY-4.0; credit Azure when you publish results.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from epp.workloads.content import id_of
from epp.workloads.lines import Line, TraceLines
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Api, Call, Role, Segment, Workload

__all__ = ["HEADER", "read_azure"]

HEADER: Final = b"TIMESTAMP,ContextTokens,GeneratedTokens"


def read_azure(lines: TraceLines) -> Workload:
    """The trace's calls. Raises WorkloadError for a line that is not of this format."""
    return workload_of(lines.file, [_timed(line) for line in lines if line.text != HEADER])


def _timed(line: Line) -> TimedCall:
    fields = line.text.split(b",")
    if len(fields) != 3:
        raise line.fault(f"{len(fields)} fields; there must be {HEADER.decode()}")
    at_s = _seconds(fields[0], line)
    prompt = line.tokens(_number(fields[1], line), "ContextTokens")
    output = line.tokens(_number(fields[2], line), "GeneratedTokens")
    call = Call(
        at_s=0.0,
        prompt=(Segment(id_of("azure prompt", line.number), max(1, prompt)),),
        output=Segment(id_of("azure output", line.number), max(1, output), Role.ASSISTANT),
        api=Api.COMPLETIONS,
    )
    return TimedCall(at_s, call)


def _seconds(field: bytes, line: Line) -> float:
    try:
        time = datetime.fromisoformat(field.decode("ascii"))
    except ValueError as error:
        raise line.fault(f"{field!r} is no time like 2023-11-16 18:17:03.9799600") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _number(field: bytes, line: Line) -> int:
    if not field.isdigit() or len(field) > 18:
        raise line.fault(f"{field!r} is no number of tokens")
    return int(field)

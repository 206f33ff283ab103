"""Mooncake's traces: JSON lines with lengths, times, and the hashes of blocks of 512 tokens.

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, ..., 2354]}

Times are milliseconds. A hash names its block together with all that stands before it (kvcache-ai/Mooncake,
FAST25-release, README). Calls stand alone: the traces do not tell sessions, and which blocks hold an earlier answer
cannot be seen, so no answer is ever found in a later prompt.
"""

from __future__ import annotations

import msgspec

from epp.workloads.content import id_of
from epp.workloads.lines import Line, TraceLines
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Api, Call, Role, Segment, Workload

__all__ = ["BLOCK_TOKENS", "read_mooncake"]

BLOCK_TOKENS = 512


class _Request(msgspec.Struct):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


_DECODER = msgspec.json.Decoder(_Request)


def read_mooncake(lines: TraceLines) -> Workload:
    """The trace's calls. Raises WorkloadError for a line that is not of this format or contradicts itself."""
    timed = []
    for line in lines:
        request = line.decoded(_DECODER)
        output = Segment(
            id_of("mooncake output", line.number),
            max(1, line.tokens(request.output_length, "output_length")),
            Role.ASSISTANT,
        )
        call = Call(at_s=0.0, prompt=_prompt(request, line), output=output, api=Api.COMPLETIONS)
        timed.append(TimedCall(request.timestamp / 1000, call))
    return workload_of(lines.file, timed)


def _prompt(request: _Request, line: Line) -> tuple[Segment, ...]:
    """A segment per block. The last one is named by its length too, for it may be the beginning of a whole block."""
    length = line.tokens(request.input_length, "input_length", least=1)
    whole, rest = divmod(length, BLOCK_TOKENS)
    hashes = request.hash_ids
    needed = whole + bool(rest)
    if len(hashes) != needed:
        raise line.fault(f"{len(hashes)} hash_ids; input_length {length} in blocks of {BLOCK_TOKENS} needs {needed}")
    blocks = [Segment(id_of("mooncake", name), BLOCK_TOKENS) for name in hashes[:whole]]
    if rest:
        blocks.append(Segment(id_of("mooncake", hashes[-1], rest), rest))
    return tuple(blocks)

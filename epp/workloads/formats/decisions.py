"""Our own decision log (`epp.decision_lines`), so that recorded traffic can meet another configuration.

Each prompt becomes the pieces between its sampled block hashes, each named by the hash at its end, and a rest that
nobody shares. So two prompts share what their hashes show: prefixes are found to within `block_stride` blocks of 256
bytes. Refused requests have no prompt and are left out. Calls stand alone at their recorded times: sessions cannot be
seen.

Where a line does not tell: the prompt has the picker's estimate of tokens, the answer has its expected length, and at
last `ASSUMED_OUTPUT_TOKENS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from epp.decision_lines import BLOCK_BYTES, DecisionLineError, LoggedDecision, decode_line, sampled_blocks
from epp.workloads.content import ASSUMED_OUTPUT_TOKENS, id_of
from epp.workloads.errors import WorkloadError
from epp.workloads.lines import Line, TraceLines
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import DEFAULT_BYTES_PER_TOKEN, Api, Call, Role, Segment, Workload

__all__ = ["read_decisions"]

_APIS = {"completions": Api.COMPLETIONS, "embeddings": Api.EMBEDDINGS}
"""By operation; all others are chats."""

_MAX_ID = 2**63 - 1


def read_decisions(lines: TraceLines) -> Workload:
    """The log's calls. Raises WorkloadError for a line that is not of this format or contradicts itself."""
    read = [(line, decision) for line in lines if not (decision := _decision(line)).rejected]
    if not read:
        raise WorkloadError(f"{lines.file}: there are no placed requests in it")
    bytes_per_token = _bytes_per_token([decision for _, decision in read])
    timed = [TimedCall(decision.t, _call(line, decision, bytes_per_token)) for line, decision in read]
    return workload_of(lines.file, timed, bytes_per_token)


def _decision(line: Line) -> LoggedDecision:
    try:
        return decode_line(line.text)
    except DecisionLineError as error:
        raise line.fault(str(error)) from error


def _bytes_per_token(decisions: Sequence[LoggedDecision]) -> float:
    """Of all prompts whose tokens a reply reported. One number for the whole log, for what prompts share must be as
    long in each of them.
    """
    known = [decision for decision in decisions if decision.prompt_tokens and decision.prompt_bytes]
    tokens = sum(decision.prompt_tokens or 0 for decision in known)
    return sum(decision.prompt_bytes for decision in known) / tokens if tokens else DEFAULT_BYTES_PER_TOKEN


def _call(line: Line, decision: LoggedDecision, bytes_per_token: float) -> Call:
    api = _APIS.get(decision.operation, Api.CHAT)
    output = decision.completion_tokens
    if output is None:
        output = decision.expected_output_tokens or ASSUMED_OUTPUT_TOKENS
    line.tokens(output, "the length of the answer")
    return Call(
        at_s=0.0,
        prompt=_prompt(line, decision, bytes_per_token),
        output=Segment(
            id_of("decision output", line.number), 0 if api is Api.EMBEDDINGS else max(1, output), Role.ASSISTANT
        ),
        model="" if decision.adapter else decision.target_model or decision.model,
        adapter=decision.adapter,
        api=api,
        stream=decision.stream,
    )


def _prompt(line: Line, decision: LoggedDecision, bytes_per_token: float) -> tuple[Segment, ...]:
    try:
        numbers, hashes = sampled_blocks(decision)
    except DecisionLineError as error:
        raise line.fault(str(error)) from error
    total = decision.prompt_tokens or decision.expected_prompt_tokens or round(decision.prompt_bytes / bytes_per_token)
    line.tokens(total, "the length of the prompt")
    segments: list[Segment] = []
    begin = 0
    for number, name in zip(numbers.tolist(), hashes.tolist(), strict=True):
        end = max(begin + 1, int(number * BLOCK_BYTES / bytes_per_token))
        segments.append(Segment(name & _MAX_ID, end - begin))
        begin = end
    # What prompts share is as long in each; so a prompt of unusually long tokens can come out longer than it was.
    if total > begin or not segments:
        segments.append(Segment(id_of("decision rest", line.number), max(1, total - begin)))
    return tuple(segments)

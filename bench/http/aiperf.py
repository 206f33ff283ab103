"""Writes a workload for NVIDIA's aiperf (tried: 0.13), so that another client can send the very same requests.

One line per call, in the format of its `mooncake_trace` with `payload`: the body as it is sent, the arrival in
milliseconds or the pause after the session's last answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from epp.workloads.text import body_of
from epp.workloads.types import Api, Workload

__all__ = ["aiperf_lines"]


def aiperf_lines(workload: Workload, model: str) -> Iterator[bytes]:
    """Lines with their ends. Raises ValueError for a workload that the format cannot say."""
    last_of: dict[int, int] = {}
    for index, call in enumerate(workload.calls):
        if call.api is not workload.calls[0].api or call.api is Api.EMBEDDINGS:
            raise ValueError(
                f"call {index} is for {call.api.value}: aiperf asks one API, chat or completions, in a run"
            )
        chain = index if call.after is None else last_of.pop(call.after, -1)
        if chain < 0:
            raise ValueError(f"call {index} and another wait for call {call.after}: aiperf's sessions do not branch")
        last_of[index] = chain
        time_ms = round(call.at_s * 1e3, 3)
        body = msgspec.Raw(body_of(call, model, workload.bytes_per_token))
        line = {"session_id": str(chain), "timestamp" if call.after is None else "delay": time_ms, "payload": body}
        yield msgspec.json.encode(line) + b"\n"

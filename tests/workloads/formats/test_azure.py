from __future__ import annotations

import pytest

from epp.workloads import Workload, WorkloadError, reusable_tokens
from epp.workloads.formats import read_azure
from epp.workloads.lines import TraceLines

HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"


def read(*lines: bytes) -> Workload:
    return read_azure(TraceLines("t", lines))


def test_lengths_and_times_are_taken_and_nothing_is_shared() -> None:
    workload = read(HEADER, b"2023-11-16 18:17:03.9799600,4808,10\r\n", b"2023-11-16 18:17:04.2299600,4808,0\r\n")
    assert [(call.prompt_tokens, call.output_tokens) for call in workload.calls] == [(4808, 10), (4808, 1)]
    assert [call.at_s for call in workload.calls] == pytest.approx([0.0, 0.25])
    assert reusable_tokens(workload).sum() == 0


def test_times_of_2024_name_a_zone() -> None:
    workload = read(b"2024-05-10 00:00:01+01:00,1,1", b"2024-05-09 23:00:02+00:00,1,1")
    assert workload.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"2023-11-16 18:17:03,1", "2 fields"),
        (b"yesterday,1,1", "no time"),
        (b"\xff,1,1", "no time"),
        (b"2023-11-16 18:17:03,-1,1", "no number of tokens"),
        (b"2023-11-16 18:17:03,1.5,1", "no number of tokens"),
        (b"2023-11-16 18:17:03,99999999,1", "ContextTokens is 99999999"),
    ],
)
def test_a_bad_line_names_itself(bad: bytes, message: str) -> None:
    with pytest.raises(WorkloadError, match=f"t:2: .*{message}"):
        read(HEADER, bad)

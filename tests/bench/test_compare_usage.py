"""What processes use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.compare.usage import family_of, usage_of

SPENDS = (
    "import time\nx = bytearray(60_000_000)\nwhile time.process_time() < 0.2: pass\ndel x\nprint(flush=True)\ninput()"
)


def test_a_family_is_a_process_and_all_below_it() -> None:
    parents = {1: 0, 2: 1, 3: 2, 4: 2, 5: 4, 6: 1}
    assert sorted(family_of(2, parents)) == [2, 3, 4, 5]
    assert family_of(6, parents) == [6]
    assert family_of(99, parents) == [99]


def test_cpu_and_the_peak_of_memory_of_children_count() -> None:
    child = subprocess.Popen([sys.executable, "-c", SPENDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        used, ours = usage_of(child.pid), usage_of(os.getpid())
    finally:
        child.communicate(b"\n")
    assert used.cpu_s >= 0.2
    assert used.peak_rss_bytes >= 60_000_000
    assert ours.cpu_s >= used.cpu_s
    assert ours.peak_rss_bytes >= used.peak_rss_bytes
    with pytest.raises(ProcessLookupError):
        usage_of(child.pid)

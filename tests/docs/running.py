"""Runs commands as the documentation shows them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

__all__ = ["Background", "wait_until"]

TIMEOUT_S = 60.0

T = TypeVar("T")


def wait_until(found: Callable[[], T | None]) -> T:
    """What `found` returns once it returns something; fails after a minute."""
    ends = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"nothing came within {TIMEOUT_S:g} s")


class Background:
    """A command that runs while the block does; what it prints goes to a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as opened:
            self._process = subprocess.Popen(command, stdout=opened, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def output(self) -> str:
        """What it has printed so far. Fails when it has ended by itself with an error."""
        text = self._log.read_text("utf-8", "replace")
        assert self._process.poll() in (None, 0), text
        return text

    def stop(self, number: int) -> int:
        """Sends a signal, and returns the exit status."""
        self._process.send_signal(number)
        return self._process.wait(TIMEOUT_S)

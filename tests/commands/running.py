"""Commands as processes, as a user runs them: in a pipe or in a terminal, ended by signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["PATIENCE_S", "Command", "epp", "plain", "run", "terminal"]

PATIENCE_S = 120.0
"""For what takes a second or two, on a machine that may be busy."""

ROOT = Path(__file__).resolve().parents[2]

_PROGRAM = (sys.executable, "-m", "epp")


def run(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*_PROGRAM, *args],
        input=stdin,
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Command:
    """A command that runs. What it writes is read all the time."""

    def __init__(self, process: subprocess.Popen[bytes], outputs: dict[str, int]) -> None:
        self.process = process
        self._texts = dict.fromkeys(outputs, b"")
        self._readers = [threading.Thread(target=self._read, args=each) for each in outputs.items()]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._texts["out"].decode()

    @property
    def err(self) -> str:
        """Its standard error so far; in a terminal it is one with the output."""
        return self._texts["err"].decode()

    def said(self, message: str) -> dict[str, Any] | None:
        """The first whole line of its JSON log with this message."""
        lines = (
            json.loads(line) for line in self.err.splitlines(keepends=True) if line[:1] == "{" and line[-1] == "\n"
        )
        return next((line for line in lines if line["msg"] == message), None)

    def wait_for(self, message: str) -> dict[str, Any]:
        """Waits for a line of its JSON log."""
        self.until(lambda: self.said(message))
        found = self.said(message)
        assert found is not None
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for something, as long as the command runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None or condition(), (self.process.returncode, self._texts)
            assert time.monotonic() < deadline, self._texts
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join()
        return status

    def _read(self, name: str, descriptor: int) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # a terminal that nobody writes to any more
                return
            if not data:
                return
            self._texts[name] += data


@contextmanager
def epp(*args: str, **env: str) -> Iterator[Command]:
    """A command with its output in pipes; killed if it still runs at the end."""
    process = subprocess.Popen(
        [*_PROGRAM, *args],
        cwd=ROOT,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        command = Command(process, {"out": process.stdout.fileno(), "err": process.stderr.fileno()})
        try:
            yield command
        finally:
            process.kill()
            command.wait()


@contextmanager
def terminal(*args: str, columns: int = 80) -> Iterator[Command]:
    """A command in a terminal; killed if it still runs at the end."""
    ours, its = pty.openpty()
    env = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"}
    try:
        process = subprocess.Popen([*_PROGRAM, *args], cwd=ROOT, env=env, stdin=its, stdout=its, stderr=its)
        os.close(its)
        with process:
            command = Command(process, {"out": ours})
            try:
                yield command
            finally:
                process.kill()
                command.wait()
    finally:
        os.close(ours)


def plain(text: str) -> str:
    """Without what colours it and moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

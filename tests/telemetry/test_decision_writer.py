"""Takes lines to a file, whatever the file does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from epp.telemetry import decision_writer
from epp.telemetry.decision_log import LineQueue
from epp.telemetry.decision_writer import DecisionWriter
from epp.telemetry.faults import FaultLog
from epp.telemetry.rotating_file import RotatingFile
from tests.telemetry.samples import samples_of, value

PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_writer, "PAUSE_S", 0.001)


class StalledFile(RotatingFile):
    """A disk that does not answer until it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 1 << 20, 1)
        self.asked = threading.Event()
        self.answer = threading.Event()

    def write(self, lines: Sequence[bytes]) -> None:
        self.asked.set()
        assert self.answer.wait(PATIENCE_S)
        super().write(lines)


def writer_of(queue: LineQueue, file: RotatingFile) -> DecisionWriter:
    writer = DecisionWriter(queue, file, FaultLog(logging.getLogger("epp.test"), lambda: 0.0))
    writer.open()
    return writer


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def results(writer: DecisionWriter) -> dict[str, float | None]:
    samples = samples_of(writer)
    names = ("written", "dropped", "failed")
    return {name: value(samples, "epp_decision_log_lines_total", result=name) for name in names}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.001)


def has_failed(writer: DecisionWriter, lines: int) -> bool:
    return results(writer)["failed"] == lines


async def test_lines_are_written_while_it_runs_and_the_last_ones_at_the_end(tmp_path: Path) -> None:
    queue, path = LineQueue(), tmp_path / "log"
    writer = writer_of(queue, RotatingFile(path, 1000, 1))
    running = asyncio.create_task(writer.run())
    queue.put(b"one\n")
    await until(lambda: path.read_bytes() == b"one\n")
    await end(running)
    queue.put(b"two\n")
    await writer.finish()
    assert path.read_bytes() == b"one\ntwo\n"
    assert results(writer) == {"written": 2, "dropped": 0, "failed": 0}


async def test_a_slow_disk_holds_up_nobody_and_what_finds_no_room_is_counted(tmp_path: Path) -> None:
    queue, file = LineQueue(limit_bytes=8), StalledFile(tmp_path / "log")
    writer = writer_of(queue, file)
    running = asyncio.create_task(writer.run())
    queue.put(b"one\n")
    assert await asyncio.to_thread(file.asked.wait, PATIENCE_S)
    for line in (b"two\n", b"thr\n", b"fou\n", b"fiv\n"):
        queue.put(line)
    assert results(writer) == {"written": 0, "dropped": 2, "failed": 0}
    await end(running)
    file.answer.set()
    await writer.finish()
    assert file.path.read_bytes() == b"one\ntwo\nthr\n", "in order, also when the end comes in the middle of a batch"
    assert results(writer) == {"written": 3, "dropped": 2, "failed": 0}


async def test_what_cannot_be_written_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    queue, path = LineQueue(), folder / "log"
    writer = writer_of(queue, RotatingFile(path, 1000, 1))
    path.unlink()
    folder.rmdir()
    running = asyncio.create_task(writer.run())
    for failed in (1, 2):
        queue.put(b"lost\n")
        await until(partial(has_failed, writer, failed))
    folder.mkdir()
    queue.put(b"kept\n")
    await until(path.exists)
    await end(running)
    await writer.finish()
    assert path.read_bytes() == b"kept\n"
    (said,) = caplog.records
    assert said.getMessage() == "the decision log cannot be written"
    assert (vars(said)["path"], vars(said)["reason"]) == (str(path), "No such file or directory")
    assert results(writer) == {"written": 1, "dropped": 0, "failed": 2}

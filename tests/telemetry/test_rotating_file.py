"""A file of lines: it grows, is set aside, and keeps only whole lines whatever the disk does."""

from __future__ import annotations

import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.rotating_file import RotatingFile


@contextmanager
def opened(path: Path, max_bytes: int = 1000, keep: int = 2) -> Iterator[RotatingFile]:
    file = RotatingFile(path, max_bytes, keep)
    file.open()
    try:
        yield file
    finally:
        file.close()


@contextmanager
def disk_of(limit_bytes: int) -> Iterator[None]:
    """No file can grow beyond the limit: a write goes as far as it can, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    with opened(tmp_path / "log", max_bytes=6) as file:
        file.write([b"one\n", b"two\n"])
    assert [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()] == [0o600, 0o600]


def test_it_goes_on_after_what_is_there(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        with opened(tmp_path / "log") as file:
            file.write([line])
    assert files(tmp_path) == {"log": b"one\ntwo\n"}


def test_a_line_that_a_crash_cut_short_is_ended(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntw")
    with opened(tmp_path / "log") as file:
        file.write([b"three\n"])
    assert files(tmp_path) == {"log": b"one\ntw\nthree\n"}


def test_full_files_are_set_aside_and_the_oldest_is_deleted(tmp_path: Path) -> None:
    with opened(tmp_path / "log", max_bytes=8, keep=2) as file:
        for number in range(9):
            file.write([b"%03d\n" % number])
        assert file.lines == 9
    assert files(tmp_path) == {"log": b"008\n", "log.1": b"006\n007\n", "log.2": b"004\n005\n"}


@pytest.mark.parametrize(
    ("keep", "left"), [(0, {"log": b"b\n"}), (1, {"log": b"b\n", "log.1": b"a\n"})], ids=["none", "one"]
)
def test_as_many_are_kept_as_wished(tmp_path: Path, keep: int, left: dict[str, bytes]) -> None:
    with opened(tmp_path / "log", max_bytes=3, keep=keep) as file:
        file.write([b"x\n", b"a\n", b"b\n"])
    assert files(tmp_path) == left


@given(lines=st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=40))
def test_no_file_is_too_large_and_no_line_is_lost_or_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with opened(folder / "log", max_bytes=10, keep=40) as file:
        for start in range(0, len(lines), 7):
            file.write(lines[start : start + 7])
    found = files(folder)
    assert all(len(text) <= 10 or text.count(b"\n") == 1 for text in found.values())
    oldest_first = sorted(found, key=lambda name: -int(name.partition(".")[2] or 0))
    assert b"".join(found[name] for name in oldest_first) == b"".join(lines)


def test_a_full_disk_leaves_whole_lines_and_the_next_batch_may_fit(tmp_path: Path) -> None:
    with opened(tmp_path / "log", max_bytes=10_000) as file:
        file.write([b"one\n"])
        with disk_of(100):
            with pytest.raises(OSError, match="too large"):
                file.write([b"x" * 200 + b"\n"])
            assert files(tmp_path) == {"log": b"one\n"}
            file.write([b"two\n"])
        assert file.lines == 2
    assert files(tmp_path) == {"log": b"one\ntwo\n"}


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_when_somebody_takes_the_file_away_it_begins_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    with opened(path) as file:
        file.write([b"one\n"])
        path.unlink() if how == "deleted" else path.rename(tmp_path / "old")
        file.write([b"two\n"])
    assert path.read_bytes() == b"two\n"


def test_a_folder_that_is_gone_fails_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with opened(folder / "log") as file:
        (folder / "log").unlink()
        folder.rmdir()
        with pytest.raises(FileNotFoundError):
            file.write([b"one\n"])
        folder.mkdir()
        file.write([b"two\n"])
    assert files(folder) == {"log": b"two\n"}


def test_a_link_is_followed_and_its_target_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "log").symlink_to("target")
    with opened(tmp_path / "log", max_bytes=5) as file:
        file.write([b"one\n", b"two\n"])
    assert files(tmp_path) == {"log": b"two\n", "target": b"two\n", "target.1": b"one\n"}
    assert (tmp_path / "log").is_symlink()


def test_a_pipe_is_never_set_aside(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with opened(tmp_path / "pipe", max_bytes=5) as file:
            file.write([b"one\n", b"two\n"])
            assert os.read(reader, 100) == b"one\ntwo\n"
    finally:
        os.close(reader)
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


def test_a_path_without_a_folder_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RotatingFile(tmp_path / "none" / "log", 1000, 1).open()

"""A file that changes under the picker in all the ways in which files change."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from epp.discovery import EndpointFileError, FileSource
from epp.discovery import file_source as module
from epp.discovery import file_versions as versions_module


def listing(*hosts: str) -> str:
    """A file that lists these hosts."""
    return "endpoints:\n" + "".join(f"- {{name: {host}, address: {host}, port: 1}}\n" for host in hosts)


ONE, TWO = listing("10.0.0.1"), listing("10.0.0.1", "10.0.0.2")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def rename(path: Path, text: str) -> None:
    beside = path.with_name("endpoints.tmp")
    beside.write_text(text)
    beside.rename(path)


def same_moment(path: Path, text: str) -> None:
    """Same length and same times as before: only the notice tells."""
    status = path.stat()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove_and_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


CHANGES = {
    "written in place": write,
    "renamed": rename,
    "same times": same_moment,
    "removed and written": remove_and_write,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_takes_effect(tmp_path: Path, running, change: Callable[[Path, str], None]) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(ONE)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1")
        change(path, TWO)
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        change(path, listing("10.0.0.1", "10.0.0.3"))
        await published.wait_for("10.0.0.1:1", "10.0.0.3:1")


async def test_a_config_map_is_swapped_by_its_link(tmp_path: Path, running, doubt_for_ever) -> None:
    def version(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "endpoints.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version("..2026_1", ONE)
    path = tmp_path / "endpoints.yaml"
    path.symlink_to("..data/endpoints.yaml")
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1")
        version("..2026_2", TWO)
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        version("..2026_3", ONE)
        await published.wait_for("10.0.0.1:1")


@pytest.fixture
def doubt_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is doubted is never taken."""
    monkeypatch.setattr(versions_module, "STAYS_S", 1e9)


async def test_what_is_renamed_to_its_place_is_not_doubted(tmp_path: Path, running, doubt_for_ever) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(TWO)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        rename(path, ONE)
        await published.wait_for("10.0.0.1:1")


async def test_a_link_that_leads_elsewhere_is_followed_by_looking(tmp_path: Path, running, monkeypatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.05)
    (tmp_path / "here").mkdir()
    (tmp_path / "there.yaml").write_text(ONE)
    path = tmp_path / "here" / "endpoints.yaml"
    path.symlink_to(tmp_path / "there.yaml")
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1")
        write(tmp_path / "there.yaml", TWO)
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")


async def test_a_directory_that_is_replaced_is_followed_by_looking(tmp_path: Path, running, monkeypatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.05)
    path = tmp_path / "here" / "endpoints.yaml"
    path.parent.mkdir()
    path.write_text(ONE)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1")
        path.parent.rename(tmp_path / "gone")
        path.parent.mkdir()
        path.write_text(TWO)
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")


async def complaint(caplog: pytest.LogCaptureFixture) -> None:
    """Waits until a version was found unusable."""
    async with asyncio.timeout(20):
        while not any("the endpoints stay as they were" in message for message in caplog.messages):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


UNUSABLE = {
    "empty": "",
    "cut in the middle of an entry": TWO[:-12],
    "cut in the middle of the key": "endp",
    "not YAML": "endpoints: [",
    "without a list": "endpoints:\n",
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
async def test_an_unusable_version_changes_nothing_and_the_next_is_taken(
    tmp_path: Path, running, caplog, text: str
) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(TWO)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        write(path, text)
        await complaint(caplog)
        write(path, listing("10.0.0.2"))
        await published.wait_for("10.0.0.2:1")
        assert [sorted(specs) for specs in published.sets] == [["10.0.0.1:1", "10.0.0.2:1"], ["10.0.0.2:1"]]


async def test_a_file_that_is_gone_is_told_once_and_changes_nothing(
    tmp_path: Path, running, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.02)
    path = tmp_path / "endpoints.yaml"
    path.write_text(ONE)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1")
        path.unlink()
        await complaint(caplog)
        await asyncio.sleep(2.5 * module.QUIET_S)  # looked for again and again
        assert sum("cannot be read" in message for message in caplog.messages) == 1
        path.write_text(TWO)
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")


@pytest.mark.parametrize("label", ["a", "b"], ids=["as it was", "with other labels"])
async def test_a_file_that_is_rewritten_line_by_line_counts_when_it_is_whole(
    tmp_path: Path, running, label: str
) -> None:
    def lines(label: str, extra: int) -> list[str]:
        entry = "- {{name: n{0}, address: 10.0.0.{0}, port: 1, labels: {{l: {1}}}}}\n"
        return ["endpoints:\n", *(entry.format(i, label) for i in range(1, 5 + extra))]

    path = tmp_path / "endpoints.yaml"
    path.write_text("".join(lines("a", 0)))
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for(*(f"10.0.0.{i}:1" for i in range(1, 5)))
        with path.open("w") as file:
            for line in lines(label, 1):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.25)
        await published.wait_for(*(f"10.0.0.{i}:1" for i in range(1, 6)))
        assert [len(specs) for specs in published.sets] == [4, 5]


async def test_entries_that_were_removed_at_the_end_go_when_the_file_stays_so(
    tmp_path: Path, running, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(versions_module, "STAYS_S", 1.0)
    monkeypatch.setattr(module, "LOOK_INTERVAL_S", 0.1)
    path = tmp_path / "endpoints.yaml"
    path.write_text(TWO)
    async with running(FileSource(path, watch=True)) as published:
        await published.wait_for("10.0.0.1:1", "10.0.0.2:1")
        write(path, ONE)
        await published.wait_for("10.0.0.1:1")
    assert sum("ends where the list in use goes on" in message for message in caplog.messages) == 1


async def test_bad_entries_are_logged_with_their_lines_up_to_a_bound(tmp_path: Path, running, caplog) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(ONE + "- {name: x}\n" * 30)
    async with running(FileSource(path)) as published:
        await published.wait_for("10.0.0.1:1")
    assert f"{path}:3: 'address' is missing; the entry is skipped" in caplog.messages
    assert caplog.messages[-1] == f"{path}: 10 more problems"


async def test_without_watching_the_file_is_read_once(tmp_path: Path, running) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(ONE)
    async with running(FileSource(path)) as published:
        await published.wait_for("10.0.0.1:1")
        write(path, TWO)
        await asyncio.sleep(0.8)
        assert published.addresses == ["10.0.0.1:1"]


FIRST = {
    "missing": (lambda path: None, "cannot be read .No such file"),
    "a directory": (lambda path: path.mkdir(), "is not a regular file"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "empty": (lambda path: path.touch(), "empty: write"),
    "too large": (lambda path: path.write_bytes(b"#" * (1 << 20) + b"#"), "larger than"),
    "unparsable": (lambda path: path.write_text("a: [\n"), r"endpoints\.yaml:1: "),
}


@pytest.mark.parametrize(("prepare", "reason"), FIRST.values(), ids=FIRST)
async def test_a_first_version_that_cannot_be_used_is_an_error(
    tmp_path: Path, prepare: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "endpoints.yaml"
    prepare(path)
    with pytest.raises(EndpointFileError, match=reason):
        await FileSource(path, watch=True).run(lambda _specs: None)

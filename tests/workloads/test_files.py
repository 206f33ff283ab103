from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from epp.decision_lines import VERSION, LoggedDecision, encode_line
from epp.workloads import Workload, WorkloadError, reusable_tokens
from epp.workloads.files import load_workload
from epp.workloads.formats import FORMATS, format_of
from epp.workloads.lines import Limits, Line

DATA = Path(__file__).parents[1] / "data" / "workloads"
LOG = encode_line(LoggedDecision(v=VERSION, t=1.0, pool="p", prompt_tokens=5))


def test_excerpts_of_published_traces() -> None:
    mooncake, azure, agent = (load_workload(DATA / name) for name in EXCERPTS)
    assert [len(workload.calls) for workload in (mooncake, azure, agent)] == [8, 5, 6]
    assert [call.prompt_tokens for call in mooncake.calls[:3]] == [28, 24, 2752]
    assert reusable_tokens(mooncake).tolist() == [0, 0, 0, 0, 2560, 2736, 2560, 2560]
    assert [call.prompt_tokens for call in azure.calls] == [374, 396, 879, 91, 91]
    assert [call.after for call in agent.calls] == [None, 0, 1, 2, 3, 4]
    assert agent.calls[4].prompt == agent.calls[3].prompt


EXCERPTS = ("mooncake.jsonl", "azure-2023.csv", "lmcache-agent.jsonl")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (LOG, "decisions"),
        (b'{"messages": [], "t": 1, "pool": 2}', "requests"),
        (b'{"prompt": "a"}', "requests"),
        (b'{"input": "a"}', "requests"),
        (b'{"custom_id": "1", "body": {}}', "requests"),
        *(
            ((DATA / file).read_bytes().splitlines()[0], name)
            for file, name in zip(EXCERPTS, ("mooncake", "azure", "agents"), strict=True)
        ),
    ],
)
def test_formats_are_told_from_their_first_line(line: bytes, name: str) -> None:
    assert format_of(Line(line, "f", 1)) == name


@pytest.mark.parametrize("line", [b"hello", b"[1]", b'{"a": 1}', b"\xff\xfe", b"{" * 1000, b"a,b,c"])
def test_what_is_no_trace_is_refused_with_what_would_be_one(line: bytes) -> None:
    with pytest.raises(WorkloadError, match=r"^f:3: no trace") as refused:
        format_of(Line(line, "f", 3))
    assert all(shape.title in str(refused.value) for shape in FORMATS.values())


def archived(path: Path, names: tuple[str, ...]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for member, content in [
            ("README.md", b"not a trace"),
            ("d/empty.jsonl", b""),
            *((f"d/{name}", (DATA / name).read_bytes()) for name in names),
        ]:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def same(first: Workload, second: Workload) -> bool:
    return first.calls == second.calls


def test_packed_files_are_read_like_plain_ones(tmp_path: Path) -> None:
    for name in EXCERPTS:
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress((DATA / name).read_bytes()))
        assert same(load_workload(packed), load_workload(DATA / name))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_archives_of_sessions_are_read(tmp_path: Path, name: str) -> None:
    archive = archived(tmp_path / name, ("lmcache-agent.jsonl",))
    assert same(load_workload(archive), load_workload(DATA / "lmcache-agent.jsonl"))


@pytest.mark.parametrize("name", EXCERPTS)
def test_only_so_many_calls_are_read(name: str) -> None:
    assert load_workload(DATA / name, most=2).calls == load_workload(DATA / name).calls[:2]


def test_what_cannot_be_opened_or_read_is_the_operators_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b'{"prompt": "a"}\n' * 1000)[:-20])
    empty = tmp_path / "empty"
    empty.write_bytes(b"\n\n")
    for path, message in [
        (tmp_path / "missing", "No such file"),
        (tmp_path, "directory"),
        (broken, "end-of-stream"),
        (empty, "no lines"),
        (archived(tmp_path / "two.tar", ("mooncake.jsonl", "azure-2023.csv")), "unpack it"),
        (archived(tmp_path / "none.tar", ()), "no lines"),
    ]:
        with pytest.raises(WorkloadError, match=message):
            load_workload(path)


def test_archives_and_lines_that_are_too_large_are_refused(tmp_path: Path) -> None:
    archive = archived(tmp_path / "a.tar", ("lmcache-agent.jsonl",))
    with pytest.raises(WorkloadError, match="more than 100 bytes"):
        load_workload(archive, limits=Limits(trace_bytes=100))
    with pytest.raises(WorkloadError, match="or 2 files"):
        load_workload(archive, limits=Limits(files=2))
    with pytest.raises(WorkloadError, match=r"azure-2023.csv:1: the line has more than 20 bytes"):
        load_workload(DATA / "azure-2023.csv", limits=Limits(line_bytes=20))

"""Commands in the documents are understood, and what is typed wrongly is told in one line."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.compare import __main__ as compare
from bench.http import __main__ as http
from bench.http.interrupts import Interrupts, run
from bench.http.sources import workload_of_flags
from tests.docs.pages import console_blocks

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {"bench.http": http.parser, "bench.compare": compare.parser}

LINES = sorted(
    {line for _, line, _ in console_blocks() if line.startswith(("python -m bench.http", "python -m bench.compare"))}
)


@pytest.mark.parametrize("line", LINES)
def test_commands_in_the_documents_are_understood(line: str) -> None:
    _, _, module, *arguments = shlex.split(line)
    options = PARSERS[module]().parse_args(arguments)
    if options.workload:
        assert workload_of_flags(options).calls


def test_documents_have_commands_of_both() -> None:
    assert {line.split()[2] for line in LINES} == set(PARSERS)


TYPED = "--workload", "independent:calls=4"

WRONG: dict[str, tuple[Callable[[list[str]], int], list[str], str]] = {
    "an unknown generator": (http.main, ["--workload", "chad"], "chat"),
    "no file": (http.main, ["--trace", "nowhere.jsonl"], "nowhere.jsonl"),
    "no calls": (http.main, [*TYPED, "--first", "0"], "--first is 0"),
    "no arrivals": (http.main, [*TYPED, "--rate", "0"], "more than 0"),
    "a header without a colon": (http.main, [*TYPED, "--header", "Authorization"], "--header 'Authorization'"),
    "no clients": (http.main, [*TYPED, "--mode", "closed", "--concurrency", "0"], "at least 1"),
    "an objective that is none": (http.main, [*TYPED, "--slo", "fast"], "ttft=2s"),
    "an unknown policy": (compare.main, [*TYPED, "--ours", "round-robbin"], "no such policy"),
    "a configuration that is not there": (compare.main, [*TYPED, "--ours", "mine=nowhere.yaml"], "nowhere.yaml"),
    "two pickers of one name": (compare.main, [*TYPED, "--ours", "default", "--ours", "default"], "one name"),
    "a picker without its port": (compare.main, [*TYPED, "--picker", "go=/opt/epp"], "{port} is missing"),
}


@pytest.mark.parametrize(("main", "arguments", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(
    main: Callable[[list[str]], int],
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_where_nothing_answers_there_are_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        target = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert http.main(["--workload", "independent:calls=3,rate_per_s=100", "--target", target]) == 1
    out, err = capsys.readouterr()
    assert "failed: 3 connect" in out
    assert "TTFT" not in out
    assert f"nothing was answered: is {target}" in " ".join(err.split())


def test_a_workload_is_written_for_another_client(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    assert http.main([*TYPED, "--aiperf", str(file)]) == 0
    assert len(file.read_bytes().splitlines()) == 4


def test_the_innermost_action_takes_an_interrupt() -> None:
    interrupts = Interrupts()
    heard: list[str] = []
    interrupts.come()
    with interrupts.doing(lambda: heard.append("outer")) as outer:
        with interrupts.doing(lambda: heard.append("inner")) as inner:
            interrupts.come()
        interrupts.come()
    interrupts.come()
    assert heard == ["inner", "outer"]
    assert (inner, outer) == ([True], [True])


def test_an_interrupt_that_nobody_takes_ends_the_program_and_lets_it_clean_up() -> None:
    cleaned: list[bool] = []

    async def program(interrupts: Interrupts) -> None:
        try:
            interrupts.come()
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(program)
    assert cleaned == [True]

"""What signals ask of a running command."""

import asyncio
import os
import signal
from collections.abc import Iterator

import click
import pytest

from epp.commands import running
from epp.commands.running import Signals, run_until_stopped, until_stopped
from epp.config import ConfigError
from epp.process import StartError


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The handlers of the test's own process come back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_the_first_signal_asks_for_the_end() -> None:
    seen: list[signal.Signals | None] = []

    async def main(signals: Signals) -> None:
        send(signal.SIGTERM)
        await signals.stop.wait()
        seen.append(signals.by)

    run_until_stopped(main)
    assert seen == [signal.SIGTERM]


def test_the_second_signal_cuts_the_end_short() -> None:
    cleaned: list[bool] = []

    async def main(signals: Signals) -> None:
        send(signal.SIGTERM)
        await signals.stop.wait()
        send(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(click.exceptions.Exit) as ended:
        run_until_stopped(main)
    assert (ended.value.exit_code, cleaned) == (128 + signal.SIGINT, [True])


def test_the_third_signal_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    monkeypatch.setattr(running.os, "_exit", exits.append)

    async def main(signals: Signals) -> None:
        for _ in range(3):
            signals.ask_to_stop(signal.SIGINT)

    with pytest.raises(click.exceptions.Exit):
        run_until_stopped(main)
    assert exits == [128 + signal.SIGINT]


def test_hanging_up_reads_the_configuration_again() -> None:
    reloads: list[str] = []

    async def main(signals: Signals) -> None:
        done = asyncio.Event()

        async def reload() -> None:
            reloads.append("reload")
            done.set()

        signals.reload = reload
        send(signal.SIGHUP)
        async with asyncio.timeout(10):
            await done.wait()
        assert not signals.stop.is_set()

    run_until_stopped(main)
    assert reloads == ["reload"]


@pytest.mark.parametrize("ignored", [False, True])
def test_hanging_up_where_there_is_nothing_to_read_ends_it_unless_ignored(ignored: bool) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    asked: list[bool] = []

    async def main(signals: Signals) -> None:
        signals.hang_up()
        asked.append(signals.stop.is_set())

    run_until_stopped(main)
    assert asked == [not ignored]


@pytest.mark.parametrize("error", [StartError("no port"), ConfigError([])], ids=["start", "configuration"])
def test_what_the_operator_can_mend_is_a_message(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(_: Signals) -> None:
        raise error

    with pytest.raises(click.exceptions.Exit) as ended:
        run_until_stopped(main)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"epp: {error}\n"


def test_work_ends_with_itself_or_with_a_signal() -> None:
    ends: list[object] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    async def main(signals: Signals) -> None:
        ends.append(await until_stopped(signals, asyncio.sleep(0)))
        asyncio.get_running_loop().call_soon(send, signal.SIGINT)
        ends.append(await until_stopped(signals, forever()))

    run_until_stopped(main)
    assert ends == [True, "cancelled", False]


def test_work_that_fails_says_so() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    async def main(signals: Signals) -> None:
        with pytest.raises(ValueError, match="broken"):
            await until_stopped(signals, fail())

    run_until_stopped(main)

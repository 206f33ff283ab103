"""What is decided about an Envoy process, without one."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.envoy.launch import (
    LaunchSettings,
    LogTail,
    RestartPolicy,
    command_line,
    exit_message,
    listener_addresses,
)


def test_each_crash_in_a_row_doubles_the_delay_up_to_a_limit() -> None:
    policy = RestartPolicy(first_delay_s=0.5, max_delay_s=3.0)
    assert [policy.delay_s(crashes) for crashes in (1, 2, 3, 4, 5, 10_000)] == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


CRASHES = {
    "the first one": (0, 1.0, 1),
    "another soon after": (1, 1.0, 2),
    "another just before it counts as stable": (7, 59.9, 8),
    "one after a good while": (7, 60.0, 1),
}


@pytest.mark.parametrize(("before", "uptime_s", "after"), CRASHES.values(), ids=CRASHES)
def test_a_long_life_clears_the_count_of_crashes(before: int, uptime_s: float, after: int) -> None:
    assert RestartPolicy().crashes_in_a_row(before, uptime_s) == after


MESSAGES = {
    "a status": ((1, ["cannot bind"]), "Envoy exited with status 1 at last.\n    cannot bind"),
    "a signal": ((-9, ["a", "b"]), "Envoy was ended by signal 9 at last.\n    a\n    b"),
    "silence": ((0, []), "Envoy exited with status 0 at last. It wrote nothing."),
}


@pytest.mark.parametrize(("end", "message"), MESSAGES.values(), ids=MESSAGES)
def test_the_end_of_a_process_is_told_with_its_last_words(end: tuple[int, list[str]], message: str) -> None:
    assert exit_message("at last", *end) == message


def test_the_command_names_everything_that_was_chosen() -> None:
    launch = LaunchSettings(log_level="info")
    command = command_line(Path("/bin/envoy"), Path("/t/c.yaml"), Path("/t/admin"), launch, 77)
    program = command.index("/bin/envoy")
    assert command[program - 1] == "77", "the process to end with"
    assert command[program:] == [
        *("/bin/envoy", "--config-path", "/t/c.yaml", "--admin-address-path", "/t/admin"),
        *("--concurrency", "1", "--log-level", "info", "--disable-hot-restart"),
    ]


LAUNCH_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown level": ({"log_level": "loud"}, "'loud' is none of trace, debug"),
    "no time to start": ({"ready_timeout_s": 0.0}, "ready_timeout_s is 0.0"),
    "no number": ({"stop_grace_s": float("nan")}, "stop_grace_s is nan"),
}


@pytest.mark.parametrize(("values", "message"), LAUNCH_REFUSED.values(), ids=LAUNCH_REFUSED)
def test_a_launch_that_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LaunchSettings(**values)


def test_bound_addresses_are_read_from_the_admin_page() -> None:
    def status(name: str, address: str, port: int) -> dict[str, Any]:
        return {"name": name, "local_address": {"socket_address": {"address": address, "port_value": port}}}

    page = json.dumps({"listener_statuses": [status("http", "127.0.0.1", 4711), status("v6", "::1", 80)]}).encode()
    assert listener_addresses(page) == {"http": "127.0.0.1:4711", "v6": "[::1]:80"}
    assert listener_addresses(b"{}") == {}


UNREADABLE_PAGES = {
    "no JSON": b"<html>",
    "no object": b"[]",
    "a listener on a pipe": b'{"listener_statuses": [{"name": "x", "local_address": {"pipe": {}}}]}',
    "not UTF-8": b"\xff\xfe\xfa",
}


@pytest.mark.parametrize("page", UNREADABLE_PAGES.values(), ids=UNREADABLE_PAGES)
def test_another_page_is_refused(page: bytes) -> None:
    with pytest.raises(ValueError, match="list of listeners cannot be read"):
        listener_addresses(page)


def lines_of(tail: LogTail, chunks: list[bytes]) -> list[str]:
    return [line for chunk in chunks for line in tail.feed(chunk)] + tail.end()


def test_lines_come_whole_and_empty_ones_not_at_all() -> None:
    assert lines_of(LogTail(), [b"on", b"e\n\ntwo\r\nthr", b"ee"]) == ["one", "two", "three"]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_where_the_output_is_cut_does_not_matter(output: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    chunks = [output[start:end] for start, end in pairwise(edges)]
    assert lines_of(LogTail(max_line_bytes=16), chunks) == lines_of(LogTail(max_line_bytes=16), [output])


@given(st.lists(st.binary(max_size=64)))
def test_a_tail_keeps_few_short_lines_whatever_is_written(chunks: list[bytes]) -> None:
    tail = LogTail(max_lines=3, max_line_bytes=8)
    seen = lines_of(tail, chunks)
    assert list(tail.last()) == seen[-3:]
    assert all(len(line) <= 8 for line in seen)

"""`epp demo`, small."""

import re
import signal
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from epp.commands import demo
from epp.commands.chats import Call
from tests.commands.invoking import invoke
from tests.commands.running import epp, plain, terminal

pytestmark = pytest.mark.envoy

SMALL = ("demo", "--pods=2", "--people=4", "--turns=2")


def test_in_a_pipe_it_is_plain_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with epp(*SMALL, TMPDIR=str(tmp_path)) as running:
        assert running.wait() == 0
        assert running.err == ""
        lines = running.out.splitlines()
    assert lines[:3] == [
        "Starting 2 simulated vLLM pods, the picker and Envoy ...",
        "8 chat requests, picked at random ...",
        "8 chat requests, picked by epp ...",
    ]
    explanation = next(index for index, line in enumerate(lines) if line.startswith("Why the last one"))
    assert max(map(len, lines[:explanation])) <= 80, "an explanation's lines are whole, so that programs find things"
    assert "\x1b" not in running.out
    assert re.search(r"^answered +8 +8$", running.out, re.MULTILINE)
    assert "Why the last one went where it went (epp explain)" in running.out
    assert list(tmp_path.iterdir()) == []


def test_in_a_terminal_it_stays_up_when_asked_and_ctrl_c_ends_it() -> None:
    with terminal(*SMALL, "--keep") as running:
        running.until(lambda: "Ctrl-C ends it." in running.out)
        text = plain(running.out)
        gateway = re.search(r"gateway (http://[0-9.:]+)", text)
        assert gateway is not None
        body = b'{"model": "sim-model", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}'
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{gateway[1]}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
        running.signal(signal.SIGINT)
        assert running.wait() == 0
        assert "Traceback" not in running.out


def test_ctrl_c_in_the_middle_ends_it(tmp_path: Path) -> None:
    with epp("demo", "--pods=2", "--people=20", "--turns=50", TMPDIR=str(tmp_path)) as running:
        running.until(lambda: "picked at random" in running.out)
        running.signal(signal.SIGINT)
        began = time.monotonic()
        assert running.wait() == 128 + signal.SIGINT
        assert time.monotonic() - began < 20, "it takes a second, on a machine that has time"
        assert running.out.splitlines()[-1] == "Stopped."
        assert running.err == ""
    assert list(tmp_path.iterdir()) == []


def test_requests_that_fail_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> Sequence[Call]:
        return [Call(failure="HTTP 503: no endpoint")] * 3

    monkeypatch.setattr(demo, "run_chats", fail)
    result = invoke(*SMALL)
    assert result.exit_code == 1
    assert result.stderr == "epp: 6 requests failed, the first with: HTTP 503: no endpoint\n"
    assert "answered" in result.stdout

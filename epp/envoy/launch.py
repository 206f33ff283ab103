"""What running an Envoy needs to decide: its command line, when to start it again, what to say when it ended.

No process is started here; see `process`.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epp.endpoints.types import canonical_address

__all__ = ["LaunchSettings", "LogTail", "RestartPolicy", "command_line", "exit_message", "listener_addresses", "quoted"]

LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")

CONCURRENCY = 1
"""Worker threads. Envoy's own default, one per core, is for machines that do nothing else."""

_TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """How one Envoy process is run. Raises ValueError for what cannot work."""

    log_level: str = "error"
    """At `warning` Envoy writes a line for each request that the picker did not answer."""
    ready_timeout_s: float = 30.0
    stop_grace_s: float = 5.0
    """Between SIGTERM and SIGKILL."""

    def __post_init__(self) -> None:
        if self.log_level not in LOG_LEVELS:
            raise ValueError(f"log level {self.log_level!r} is none of {', '.join(LOG_LEVELS)}")
        for name, seconds in (("ready_timeout_s", self.ready_timeout_s), ("stop_grace_s", self.stop_grace_s)):
            if not 0 < seconds <= 3600:
                raise ValueError(f"{name} is {seconds}, but must be above 0 and at most 3600")


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Start again after a crash: at once the first time or after a good while, then each time twice as late."""

    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    stable_after_s: float = 60.0
    """A process that ran this long clears the count of crashes in a row."""

    def crashes_in_a_row(self, before: int, uptime_s: float) -> int:
        """The count with this crash in it."""
        return 1 if uptime_s >= self.stable_after_s else before + 1

    def delay_s(self, crashes: int) -> float:
        """How long to wait before the next start; `crashes` in a row, at least 1."""
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** min(crashes - 1, 30))


def command_line(envoy: Path, config: Path, admin_file: Path, launch: LaunchSettings, parent_pid: int) -> list[str]:
    """Program and arguments. Envoy ends with the process `parent_pid`, which must be the one that starts it.

    Without hot restart there is no shared memory, so that any number of Envoys run on a host and no base id is needed.
    """
    return [
        *(sys.executable, "-I", "-S", str(_TETHER), str(parent_pid)),
        *(str(envoy), "--config-path", str(config), "--admin-address-path", str(admin_file)),
        *("--concurrency", str(CONCURRENCY), "--log-level", launch.log_level, "--disable-hot-restart"),
    ]


def exit_message(when: str, status: int, lines: Sequence[str]) -> str:
    """One sentence, then what Envoy wrote last. `status` is negative for a signal, as in `subprocess`."""
    ended = f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"
    return f"Envoy {ended} {when}.{quoted(lines)}"


def quoted(lines: Sequence[str]) -> str:
    """What Envoy wrote, indented, to follow a sentence."""
    return "".join(f"\n    {line}" for line in lines) or " It wrote nothing."


def listener_addresses(page: bytes) -> dict[str, str]:
    """Name and `ip:port` of each listener, from the admin page `/listeners?format=json`.

    This is where a port that the system chose is found. Raises ValueError when it is not such a page.
    """
    try:
        found = {}
        for status in json.loads(page).get("listener_statuses", []):
            address = status["local_address"]["socket_address"]
            found[str(status["name"])] = canonical_address(address["address"], int(address["port_value"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"Envoy's list of listeners cannot be read: {error!r}") from None
    return found


class LogTail:
    """Cuts what a process writes into lines and remembers the last ones. Bounded, whatever it writes."""

    def __init__(self, max_lines: int = 20, max_line_bytes: int = 2000) -> None:
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._max_line_bytes = max_line_bytes
        self._partial = b""

    def feed(self, data: bytes) -> list[str]:
        """Lines that are complete with these bytes. What a line has beyond the limit is left out."""
        *complete, rest = (self._partial + data).split(b"\n")
        self._partial = rest[: self._max_line_bytes]
        return self._take(complete)

    def end(self) -> list[str]:
        """The last line, if it did not end with a line feed."""
        rest, self._partial = self._partial, b""
        return self._take([rest])

    def last(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(self._lines)

    def _take(self, raw: list[bytes]) -> list[str]:
        lines = [line[: self._max_line_bytes].decode("utf-8", "replace").rstrip() for line in raw]
        kept = [line for line in lines if line]
        self._lines.extend(kept)
        return kept

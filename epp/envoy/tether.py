"""Runs a program that ends when the process that started it ends, however that happens.

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT...]

A script, not a function for `preexec_fn`: that runs Python code between fork and exec, in a copy of a process whose
other threads (gRPC has many) may hold any lock, and can hang there. This one has a process of its own and becomes the
program by exec, so the process id stays. It also raises the limit on open files, two of which a request takes.

Linux sends the signal when the *thread* that started this script ends: start it from one that lives as long as the
process does.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h. The setting outlives exec, unless the program is set-user-ID."""


def main(arguments: list[str]) -> None:
    """Ties this process to its parent, then becomes the program. Returns only by raising SystemExit."""
    parent_pid, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it was gone before the line above
        raise SystemExit("the process that wanted this program is gone")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise SystemExit(f"{program[0]} cannot be run: {error.strerror}") from None


if __name__ == "__main__":
    main(sys.argv[1:])

"""What is raised for a workload that cannot be read or made."""

from __future__ import annotations

__all__ = ["WorkloadError"]


class WorkloadError(ValueError):
    """The operator's fault: says where (file and line, or parameter), what is wrong, and what to do."""

"""Readers of traces: one module per format, from numbered lines to a workload. `epp.workloads.files` opens the files.

`FORMATS` names them all, each with what its first line looks like, by which files are recognised.
"""

from epp.workloads.formats.agent_sessions import read_agent_sessions
from epp.workloads.formats.azure import read_azure
from epp.workloads.formats.decisions import read_decisions
from epp.workloads.formats.detection import FORMATS, Format, format_of
from epp.workloads.formats.mooncake import read_mooncake
from epp.workloads.formats.requests import read_requests

__all__ = [
    "FORMATS",
    "Format",
    "format_of",
    "read_agent_sessions",
    "read_azure",
    "read_decisions",
    "read_mooncake",
    "read_requests",
]

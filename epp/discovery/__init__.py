"""Where endpoints come from: lists of addresses and names, files, DNS.

A `Source` publishes complete sets of `EndpointSpec`s until it is cancelled. What decides does no IO: `targets` (what
can be listed), `endpoint_file` (bytes to targets), `file_versions` (which version of a file counts), `directory` (when
to look names up, and what they stand for), `hosts_file`, `source` (merging, and publishing changes only). The edges
around it are thin: `dns_lookup`, `resolving`, and the sources `target_source`, `file_source`, `combined_source`.
Kubernetes is a package of its own, `kubernetes`, which those import who need it.
"""

from epp.discovery.combined_source import CombinedSource
from epp.discovery.directory import DnsSettings, Family
from epp.discovery.endpoint_file import EndpointFile, EndpointFileError, parse_endpoint_file
from epp.discovery.file_source import FileSource
from epp.discovery.source import Publish, Source, merge
from epp.discovery.target_source import TargetSource
from epp.discovery.targets import HostTarget, ServiceTarget, Target, parse_target

__all__ = [
    "CombinedSource",
    "DnsSettings",
    "EndpointFile",
    "EndpointFileError",
    "Family",
    "FileSource",
    "HostTarget",
    "Publish",
    "ServiceTarget",
    "Source",
    "Target",
    "TargetSource",
    "merge",
    "parse_endpoint_file",
    "parse_target",
]

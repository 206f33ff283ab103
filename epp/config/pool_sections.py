"""Sections of `epp:` about the pool: its endpoints, what they are asked, and the models that they serve."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from epp.config.fields import Count, HostAndPort, LabelPairs, Model, Name, Nameserver, Part, Section, Service
from epp.config.units import Between, Duration, Share, Size
from epp.discovery.directory import Family
from epp.discovery.kubernetes import POOL_GROUP, parse_ports

DAY_S = 86400.0
MIB, GIB = 1 << 20, 1 << 30

__all__ = [
    "EndpointsSection",
    "FileSection",
    "HealthSection",
    "KubernetesSection",
    "LedgerSection",
    "LookupSection",
    "ModelsSection",
    "PoolSection",
    "PrefixSection",
    "RewriteSection",
    "StalenessSection",
    "TargetSection",
]


class PoolSection(Section):
    """The pool that is served."""

    example = "pool: {name: llama, namespace: prod, useSubset: false}"

    name: Annotated[str, Field(min_length=1)] = "epp"
    """Label `inference_pool` of metrics and name in logs. The Go picker's `--pool-name`."""
    namespace: str = "default"
    """Namespace of the pool, and of its pods on Kubernetes; taken from NAMESPACE when not given."""
    replica: str = ""
    """Name of this process in decision ids and logs; taken from POD_NAME when not given."""
    use_subset: bool = True
    """Honour the gateway's hint about which endpoints a request may go to."""


class FileSection(Model):
    """A file with endpoints, in the format of the Go picker's `file-discovery`."""

    path: str = ""
    """The file. Empty: none."""
    watch: bool = True
    """Take changes while running. The Go picker's default is not to."""


class LookupSection(Model):
    """How names are looked up."""

    min_interval: Annotated[Duration, Between(0.1, 3600.0)] = 1.0
    """No name is asked for more often, whatever its time to live."""
    max_interval: Annotated[Duration, Between(0.1, 86400.0)] = 60.0
    """No name is asked for less often; failures back off up to it."""
    timeout: Annotated[Duration, Between(0.1, 60.0)] = 5.0
    """For one lookup, with all servers, retries and search domains."""
    family: Family = Family.V4_PREFERRED
    """Which addresses of a name count."""
    nameservers: Annotated[tuple[Nameserver, ...], Field(max_length=8)] = ()
    """DNS servers to ask, `ip` or `ip:port`. Empty: as the system is configured."""

    @model_validator(mode="after")
    def _consistent(self) -> LookupSection:
        if self.min_interval > self.max_interval:
            raise ValueError("minInterval is greater than maxInterval")
        return self


class KubernetesSection(Model):
    """Pods of the namespace `pool.namespace`: those of an InferencePool, or those with some labels."""

    pool: bool = False
    """Watch the InferencePool that `pool.name` names, and its pods. `--pool-name` asks for it where nothing else says
    where endpoints are."""
    group: Annotated[str, Field(min_length=1)] = POOL_GROUP
    """API group of the InferencePool. The Go picker's `--pool-group`."""
    selector: LabelPairs = ""
    """`key=value,key=value`: the pods that have these labels, where there is no InferencePool."""
    target_ports: Annotated[tuple[int, ...], Field(max_length=8)] = ()
    """Ports of each pod that `selector` selects. Each is an endpoint, such as a data-parallel rank."""

    @model_validator(mode="after")
    def _consistent(self) -> KubernetesSection:
        if self.pool and self.selector:
            raise ValueError("pool and selector are both given: an InferencePool brings its own selector")
        if bool(self.selector) != bool(self.target_ports):
            raise ValueError("selector and targetPorts go together: give both")
        if self.target_ports:
            parse_ports(self.target_ports)
        return self


class EndpointsSection(Section):
    """Where endpoints come from; several sources are combined."""

    takes_effect = Part.ENDPOINTS
    example = """\
endpoints:
  static: ["10.0.0.1:8000", "[fd00::1]:8000"]
  dns: ["vllm.prod.svc.cluster.local:8000"]
  file: {path: /etc/epp/endpoints.yaml}
  kubernetes: {selector: "app=vllm", targetPorts: [8000]}
  lookups: {maxInterval: 10s}
"""

    static: Annotated[tuple[HostAndPort, ...], Field(max_length=10_000)] = ()
    """`10.0.0.1:8000`, `[fd00::1]:8000`, `gpu1.example:8000`. Every address of a name is an endpoint."""
    dns: Annotated[tuple[HostAndPort, ...], Field(max_length=100)] = ()
    """`name:port`, for example of a headless Kubernetes service. The same as names under `static`."""
    srv: Annotated[tuple[Service, ...], Field(max_length=100)] = ()
    """`_service._proto.name`: SRV records give hosts and ports."""
    file: FileSection = FileSection()
    kubernetes: KubernetesSection = KubernetesSection()
    lookups: LookupSection = LookupSection()


class HealthSection(Section):
    """When an endpoint is not used, or used with care."""

    example = "health: {replyFailures: 5, ejection: 30s, slowStart: 1m}"

    probe_failures: Count = 2
    """Failed probes in a row after which an endpoint is not used."""
    scrape_failures: Count = 3
    """Failed scrapes in a row after which an endpoint is not used."""
    reply_failures: Count = 3
    """Failed replies in a row (connect errors, 5xx, empty streams) after which an endpoint is ejected."""
    ejection: Annotated[Duration, Between(0.1, DAY_S)] = 10.0
    """First ejection; each further one lasts twice as long."""
    max_ejection: Annotated[Duration, Between(0.1, DAY_S)] = 300.0
    """Longest ejection."""
    max_ejected_share: Share = 0.5
    """Of the pool. Beyond it the fault is hardly the endpoints'."""
    busy: Annotated[Duration, Between(0.0, 60.0)] = 0.5
    """After a 503 an endpoint gets no new requests for this long."""
    slow_start: Annotated[Duration, Between(0.0, 3600.0)] = 30.0
    """A new or recovered endpoint gets a growing share of requests for this long. 0: no slow start."""

    @model_validator(mode="after")
    def _consistent(self) -> HealthSection:
        if self.ejection > self.max_ejection:
            raise ValueError("ejection is greater than maxEjection")
        return self


class StalenessSection(Section):
    """What old metrics are worth."""

    example = "staleness: {after: 5s}"

    after: Annotated[Duration, Between(0.05, 3600.0)] = 2.0
    """Metrics older than this begin to fade. When it is not given: twice `scraping.interval`, at least 2s. The Go
    picker's `--metrics-staleness-threshold`."""
    fade: Annotated[Duration, Between(0.1, 3600.0)] = 8.0
    """Within this time they move to the worst of the pool."""


class LedgerSection(Section):
    """What this picker has placed and not yet seen finish."""

    example = "ledger: {maxAge: 1h}"

    max_age: Annotated[Duration, Between(1.0, 7 * DAY_S)] = 7200.0
    """A request that is under way for longer no longer counts as load."""


class PrefixSection(Section):
    """The index of which endpoint holds which prompt prefixes."""

    example = "prefix: {indexBytes: 1GiB}"

    index_bytes: Annotated[Size, Between(MIB, 64 * GIB)] = 256 * MIB
    """Memory for the index, all endpoints together."""
    capacity_tokens: Annotated[int, Field(ge=0, le=1 << 40)] = 0
    """Tokens that an endpoint's KV cache holds, where its server does not report them. 0: no bound but `indexBytes`."""


class TargetSection(Model):
    """A model that requests are sent to."""

    model: Name
    """Its name at the model server."""
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Share of the requests, in proportion to the other targets' weights."""


class RewriteSection(Model):
    """Requests for one of `models` go to one of `targets`, at random by weight."""

    models: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Exact names. Empty: all that no other rule names, requests without a model included."""
    targets: Annotated[tuple[TargetSection, ...], Field(min_length=1, max_length=1000)]
    """Where they go."""


class ModelsSection(Section):
    """Rules about the model that a request names."""

    takes_effect = Part.MODELS
    example = """\
models:
  rejectUnknown: true
  rewrites:
  - models: [chat]
    targets: [{model: llama-3-8b, weight: 9}, {model: llama-3-70b}]
"""

    rewrites: Annotated[tuple[RewriteSection, ...], Field(max_length=1000)] = ()
    """Exact rules come before general ones; among equals the first counts."""
    rewrite_by_header: bool = True
    """Take the target from `x-llm-d-model-name-rewrite`, as the Go picker does. Who may set it chooses the model."""
    reject_missing: bool = False
    """Answer 400 to requests that must name a model and do not. Else they are placed by load."""
    reject_unknown: bool = False
    """Answer 404 when every endpoint's model list is known and none has the name."""

"""Flags: all of the Go picker's, by its names and in its forms, and a few of our own for what people type.

`FLAGS` is the one list. A flag that acts stands for a key of the `epp:` section; one that has no effect here says what
is so instead, in one warning. Values stay text until the section checks them, so a bad value of a flag and of a file
get the same message. How they are written on a command line is for `flags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from epp.config.errors import Findings, Place, Problem
from epp.config.layers import layer, leaf
from epp.config.units import format_duration, parse_bool, parse_duration
from epp.config.yaml_document import Json, Node, resolve_scalar

__all__ = ["FLAGS", "Flag", "FlagKind", "FlagValues", "flag_layer", "place_of_flag"]

Path = tuple[str, ...]
FlagValues = Mapping[str, str | tuple[str, ...]]


class FlagKind(Enum):
    """What a flag's value is; the value stands in the help."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    DURATION = "DURATION"
    SWITCH = "[=true|false]"
    LIST = "TEXT, repeatable"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag."""

    name: str
    kind: FlagKind
    help: str
    paths: tuple[Path, ...] = ()
    """Keys of the `epp:` section that it stands for."""
    negated: bool = False
    """A switch that says the opposite of its key."""
    commas: bool = False
    """Numbers with commas between them, for a key that holds a list."""
    instead: str = ""
    """What is so here, when the flag has no effect."""
    replaced_by: str = ""
    """What should be written instead of an old flag."""
    least_s: float | None = None
    """The key's lower bound, where the Go picker takes shorter durations, too: this is then taken, with a warning..."""
    rather: str = ""
    """...or the default, in words."""


def _acts(name: str, kind: FlagKind, path: str, help_: str, *more: str, **rest: Any) -> Flag:
    return Flag(name, kind, help_, tuple(tuple(each.split(".")) for each in (path, *more)), **rest)


def _idle(name: str, kind: FlagKind, instead: str) -> Flag:
    return Flag(name, kind, f"No effect: {instead}.", instead=instead)


def _metric(name: str, key: str) -> Flag:
    path = f"scraping.engines.vllm.{key}"
    return _acts(name, FlagKind.TEXT, path, "Old flag: the name of a vLLM metric.", replaced_by=f"epp.{path}")


_TEXT, _NUMBER, _DURATION, _SWITCH, _LIST = FlagKind
_LOGS = "-v and --zap-encoder choose what is logged and how"

FLAGS: Mapping[str, Flag] = {
    flag.name: flag
    for flag in (
        # The configuration.
        Flag("config-file", _TEXT, "File with an EndpointPickerConfig, in YAML or JSON."),
        Flag("config-text", _TEXT, "The same as text."),
        _idle("allow-experimental-plugins", _SWITCH, "no plugin needs permission"),
        # Endpoints. The first four and the last are ours.
        _acts("endpoint", _LIST, "endpoints.static", "An endpoint, HOST:PORT or [IPV6]:PORT."),
        _acts("endpoints-file", _TEXT, "endpoints.file.path", "File with endpoints; taken again when it changes."),
        _acts("dns", _LIST, "endpoints.dns", "NAME:PORT; every address of the name is an endpoint."),
        _acts("srv", _LIST, "endpoints.srv", "Name of a DNS service, such as _vllm._tcp.example."),
        _acts(
            "pool-name",
            _TEXT,
            "pool.name",
            "Name of the pool. Where nothing else says where endpoints are: the InferencePool whose pods they are.",
        ),
        _acts("pool-namespace", _TEXT, "pool.namespace", "Namespace of the pool; else NAMESPACE, else default."),
        _acts(
            "pool-group",
            _TEXT,
            "endpoints.kubernetes.group",
            "API group of the InferencePool; inference.networking.k8s.io.",
        ),
        _acts(
            "endpoint-selector",
            _TEXT,
            "endpoints.kubernetes.selector",
            "Labels KEY=VALUE,...; the pods that have them, without an InferencePool.",
        ),
        _acts(
            "endpoint-target-ports",
            _TEXT,
            "endpoints.kubernetes.targetPorts",
            "Ports of these pods, with commas; each is an endpoint.",
            commas=True,
        ),
        _acts(
            "disable-endpoint-subset-filter",
            _SWITCH,
            "pool.useSubset",
            "Ignore the gateway's hint about which endpoints a request may go to.",
            negated=True,
        ),
        _acts("bind", _TEXT, "serving.bind", "IP address to listen on; else all.", "metrics.bind"),
        # Ports and TLS.
        _acts("grpc-port", _NUMBER, "serving.port", "Port of external processing; 9002."),
        _acts("grpc-health-port", _NUMBER, "serving.healthPort", "Port of the health service; 9003."),
        _acts("metrics-port", _NUMBER, "metrics.port", "Port of metrics and debug pages; 9090."),
        _acts("drain-timeout", _DURATION, "serving.drainTimeout", "How long streams are served after SIGTERM; 30s."),
        _acts("secure-serving", _SWITCH, "serving.tls.enabled", "TLS on the external processing port; true."),
        _acts("cert-path", _TEXT, "serving.tls.certDir", "Directory with tls.crt and tls.key; else self-signed."),
        _acts("enable-cert-reload", _SWITCH, "serving.tls.reload", "Take changed certificates while running."),
        _idle("tls-min-version", _TEXT, "TLS 1.2 and 1.3 are spoken, and grpcio offers no choice"),
        _idle("tls-cipher-suites", _TEXT, "grpcio's cipher suites are used; GRPC_SSL_CIPHER_SUITES changes them"),
        _acts("metrics-cert-dir", _TEXT, "metrics.tls.certDir", "Directory with tls.crt and tls.key for metrics."),
        _acts("metrics-client-ca-file", _TEXT, "metrics.tls.clientCaFile", "CA that metrics clients must show."),
        _idle(
            "metrics-endpoint-auth",
            _SWITCH,
            "tokens are not reviewed by Kubernetes; epp.metrics.needToken asks for a token of its own",
        ),
        _acts("debug-token-file", _TEXT, "debug.tokenFile", "Bearer token for the debug pages; else loopback only."),
        _idle(
            "grpc-max-recv-msg-size",
            _TEXT,
            "messages may have 256 MiB, and bodies epp.exchange.maxBodyBytes",
        ),
        _idle("grpc-max-send-msg-size", _TEXT, "messages that are sent have no limit"),
        _idle("health-checking", _SWITCH, "the health service is always on, on its own port"),
        _idle("ha-enable-leader-election", _SWITCH, "replicas need no leader: each is always ready"),
        # Scraping.
        _acts(
            "refresh-metrics-interval",
            _DURATION,
            "scraping.interval",
            "Between scrapes of one endpoint; 1s.",
            least_s=0.05,
        ),
        _idle("refresh-prometheus-metrics-interval", _DURATION, "metrics are computed when they are read"),
        _acts(
            "metrics-staleness-threshold",
            _DURATION,
            "staleness.after",
            "Age from which metrics fade; twice the interval between scrapes, at least 2s.",
            least_s=0.05,
            rather="twice the interval between scrapes, at least 2s,",
        ),
        _metric("total-queued-requests-metric", "waiting"),
        _metric("total-running-requests-metric", "running"),
        _metric("kv-cache-usage-percentage-metric", "kvUsage"),
        _metric("lora-info-metric", "loraInfo"),
        _metric("cache-info-metric", "cacheInfo"),
        # What is shown.
        _acts("v", _NUMBER, "logging.verbosity", "0-1 warnings, 2 information, 3 verbose, 4 debug, 5 trace; 2."),
        _acts("zap-encoder", _TEXT, "logging.format", "json or console; else by whether a person looks."),
        _acts("decision-log", _TEXT, "decisions.log.path", "File for a line of JSON per request, without its prompt."),
        _idle("zap-devel", _SWITCH, _LOGS),
        _idle("zap-log-level", _TEXT, _LOGS),
        _idle("zap-stacktrace-level", _TEXT, _LOGS),
        _idle("zap-time-encoding", _TEXT, "times are RFC 3339 in UTC"),
        _acts("tracing", _SWITCH, "tracing.enabled", "Make traces when OTEL_* variables say where to; true."),
        _idle("enable-pprof", _SWITCH, "profiles of Go are not here; py-spy attaches to the process"),
        _idle("enable-grpc-stream-metrics", _SWITCH, "these metrics are always there"),
        _idle("emit-endpoint-scores", _SWITCH, "scores of past decisions are on the debug pages"),
    )
}
"""All flags by name. Source of the Go picker's: its options and README, with their defaults in the help."""


def place_of_flag(name: str) -> Place:
    """Where a value of a flag was written."""
    return Place(f"--{name}")


def flag_layer(values: FlagValues, findings: Findings) -> Node:
    """What flags say about the `epp:` section; warnings for those without effect."""
    return layer(list(_flag_values(values, findings)))


def _flag_values(values: FlagValues, findings: Findings) -> Iterator[tuple[Path, Node]]:
    for name, value in values.items():
        flag, place = FLAGS[name], place_of_flag(name)
        plain: Json = list(value) if isinstance(value, tuple) else value
        if flag.kind is _SWITCH:
            plain = parse_bool(str(value))
            if plain is None:
                findings.errors.append(Problem(place, "", f"must be true or false, found {str(value)[:80]!r}"))
                continue
        if flag.instead and plain not in (False, ""):  # what is switched off or empty asks for nothing
            findings.warnings.append(Problem(place, "", f"has no effect: {flag.instead}"))
        if flag.replaced_by:
            findings.warnings.append(Problem(place, "", f"is an old flag: write {flag.replaced_by} in the file"))
        if _is_short(flag, str(value)):
            least = format_duration(flag.least_s or 0.0)
            message = f"{value} is less than {least}: {flag.rather or least} is taken"
            findings.warnings.append(Problem(place, "", message))
            if flag.rather:
                continue
            plain = least
        plain = _plain(flag, plain)
        for path in flag.paths:
            yield path, leaf((not plain) if flag.negated else plain, place)


def _plain(flag: Flag, value: Json) -> Json:
    """The value as a file would have it."""
    if flag.kind is _NUMBER:
        return _number(str(value))
    if flag.commas:
        return [_number(part.strip()) for part in str(value).split(",")] if value else []
    return value


def _number(text: str) -> Json:
    """The number, or the text for the section to refuse."""
    number = resolve_scalar(text)
    return number if isinstance(number, int) else text


def _is_short(flag: Flag, text: str) -> bool:
    """Whether a duration is one that only the Go picker takes. What is no duration is for the section to tell."""
    try:
        return flag.least_s is not None and 0.0 <= parse_duration(text) < flag.least_s
    except ValueError:
        return False

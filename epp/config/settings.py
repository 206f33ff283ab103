"""All settings of a process as one frozen object: the settings of the rooms, as these declare them, and our own.

`settings_of` makes it from a checked `epp:` section and a profile. What the section has checked, no room refuses; a
test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from epp.config.pool_sections import (
    EndpointsSection,
    HealthSection,
    KubernetesSection,
    ModelsSection,
    PoolSection,
)
from epp.config.process_sections import (
    DecisionLogSection,
    ExchangeSection,
    LoggingSection,
    MetricsSection,
    ServingSection,
)
from epp.config.profiles import ProfileSpec
from epp.config.scraping_settings import scrape_settings
from epp.config.sections import EppSection
from epp.discovery import DnsSettings, Target, parse_target
from epp.discovery.kubernetes import PodSelection, Pool, PoolReference, Watched, parse_selector
from epp.endpoints import FreshnessSettings, HealthSettings, PoolSettings, split_address
from epp.endpoints.rates import TokenEstimates
from epp.extproc import ExchangeSettings
from epp.prefix import BLOCK_BYTES
from epp.router import ModelRewrite, RouterSettings, TargetSettings, WeightedModel
from epp.telemetry.decision_log import DecisionLogSettings
from epp.telemetry.logs import Encoder, LogSettings, level_of_verbosity
from epp.telemetry.scrape_settings import ScrapeSettings

__all__ = [
    "DiscoverySettings",
    "FileSettings",
    "HttpSettings",
    "PoolIdentity",
    "ServerTls",
    "ServingSettings",
    "Settings",
    "settings_of",
]

DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class PoolIdentity:
    """What this pool and process are called."""

    name: str
    namespace: str
    replica: str
    """Empty: the process chooses."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS of a port."""

    cert_dir: Path | None
    """Directory with `tls.crt` and `tls.key`; None: a certificate signed by itself."""
    client_ca_file: Path | None = None
    reload: bool = False


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """gRPC ports."""

    bind: str
    """IP address; empty: all addresses of the machine."""
    port: int
    health_port: int
    drain_timeout_s: float
    tls: ServerTls | None
    """None: without TLS."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The port with metrics and debug pages."""

    bind: str
    port: int
    metrics_need_token: bool
    token_file: Path | None
    """Opens the debug pages to others than loopback."""
    tls: ServerTls | None


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A file with endpoints."""

    path: Path
    watch: bool


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Where endpoints come from: all of these together."""

    targets: tuple[Target, ...]
    file: FileSettings | None
    dns: DnsSettings
    kubernetes: Watched | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a process needs to know to start."""

    pool: PoolIdentity
    serving: ServingSettings
    http: HttpSettings
    exchange: ExchangeSettings
    bodies_in_flight_bytes: int
    router: RouterSettings
    scrape: ScrapeSettings
    discovery: DiscoverySettings
    profile: ProfileSpec
    max_lag_s: float
    """Lag of the event loop beyond which the picker is overloaded."""
    max_busy: float
    """Likewise the share of the time for which it has something to do."""
    slow_plugin_s: float
    """A plugin's call that takes longer is neutral."""
    slow_plugin_calls: int
    """After so many in a row a plugin is switched off."""
    logging: LogSettings
    tracing: bool
    """Whether the OTEL_* variables are listened to."""
    decision_log: DecisionLogSettings | None
    """None: no decision log."""


def settings_of(section: EppSection, profile: ProfileSpec) -> Settings:
    """The settings that a section and a profile say."""
    return Settings(
        pool=PoolIdentity(section.pool.name, section.pool.namespace, section.pool.replica),
        serving=_serving(section.serving),
        http=_http(section.metrics, section.debug.token_file),
        exchange=_exchange(section.exchange),
        bodies_in_flight_bytes=section.exchange.bodies_in_flight_bytes,
        router=_router(section),
        scrape=scrape_settings(section.scraping),
        discovery=_discovery(section.endpoints, section.pool),
        profile=profile,
        max_lag_s=section.overload.max_lag,
        max_busy=section.overload.max_busy,
        slow_plugin_s=section.plugins.slow_after,
        slow_plugin_calls=section.plugins.slow_calls,
        logging=_logging(section.logging),
        tracing=section.tracing.enabled,
        decision_log=_decision_log(section.decisions.log),
    )


def _serving(section: ServingSection) -> ServingSettings:
    tls = ServerTls(_path(section.tls.cert_dir), _path(section.tls.client_ca_file), section.tls.reload)
    return ServingSettings(
        bind=section.bind,
        port=section.port,
        health_port=section.health_port,
        drain_timeout_s=section.drain_timeout,
        tls=tls if section.tls.enabled else None,
    )


def _http(section: MetricsSection, token_file: str) -> HttpSettings:
    tls = ServerTls(_path(section.tls.cert_dir), _path(section.tls.client_ca_file))
    return HttpSettings(
        bind=section.bind,
        port=section.port,
        metrics_need_token=section.need_token,
        token_file=_path(token_file),
        tls=tls if section.tls.cert_dir else None,
    )


def _logging(section: LoggingSection) -> LogSettings:
    encoder = None if section.format == "auto" else Encoder(section.format)
    return LogSettings(level_of_verbosity(section.verbosity), encoder)


def _decision_log(section: DecisionLogSection) -> DecisionLogSettings | None:
    if not section.path:
        return None
    return DecisionLogSettings(Path(section.path), section.max_file_bytes, section.keep, section.block_stride)


def _exchange(section: ExchangeSection) -> ExchangeSettings:
    return ExchangeSettings(
        max_body_bytes=section.max_body_bytes,
        close_after_pick=section.close_after_pick,
        reply_phase=section.reply_phase,
        clear_route_cache=section.clear_route_cache,
    )


def _router(section: EppSection) -> RouterSettings:
    return RouterSettings(
        pool=PoolSettings(
            freshness=FreshnessSettings(stale_after_s=section.staleness.after, fade_s=section.staleness.fade),
            health=_health(section.health),
            max_charge_age_s=section.ledger.max_age,
        ),
        targets=_targets(section.models),
        use_subset=section.pool.use_subset,
        index_bytes=section.prefix.index_bytes,
        default_capacity_blocks=_capacity_blocks(section.prefix.capacity_tokens),
        kept_decisions=section.decisions.kept,
        decision_headers=section.decisions.headers,
    )


def _capacity_blocks(tokens: int) -> int | None:
    """Blocks of the prefix index, at the length of tokens that is assumed before any is known."""
    return max(1, int(tokens * TokenEstimates.DEFAULT_BYTES_PER_TOKEN) // BLOCK_BYTES) if tokens else None


def _health(section: HealthSection) -> HealthSettings:
    return HealthSettings(
        probe_failures=section.probe_failures,
        scrape_failures=section.scrape_failures,
        reply_failures=section.reply_failures,
        ejection_s=section.ejection,
        max_ejection_s=section.max_ejection,
        max_ejected_share=section.max_ejected_share,
        busy_s=section.busy,
        slow_start_s=section.slow_start,
    )


def _targets(section: ModelsSection) -> TargetSettings:
    return TargetSettings(
        rewrites=tuple(
            ModelRewrite(tuple(WeightedModel(target.model, target.weight) for target in rule.targets), rule.models)
            for rule in section.rewrites
        ),
        rewrite_by_header=section.rewrite_by_header,
        reject_missing_model=section.reject_missing,
        reject_unknown_model=section.reject_unknown,
    )


def _discovery(section: EndpointsSection, pool: PoolSection) -> DiscoverySettings:
    lookups = section.lookups
    servers = (split_address(text) for text in lookups.nameservers)
    return DiscoverySettings(
        targets=tuple(parse_target(text) for text in (*section.static, *section.dns, *section.srv)),
        file=FileSettings(Path(section.file.path), section.file.watch) if section.file.path else None,
        dns=DnsSettings(
            min_interval_s=lookups.min_interval,
            max_interval_s=lookups.max_interval,
            timeout_s=lookups.timeout,
            family=lookups.family,
            nameservers=tuple((host, port or DNS_PORT) for host, port in servers),
        ),
        kubernetes=_kubernetes(section.kubernetes, pool),
    )


def _kubernetes(section: KubernetesSection, pool: PoolSection) -> Watched | None:
    if section.pool:
        return PoolReference(pool.name, pool.namespace, section.group)
    if section.selector:
        return PodSelection(pool.namespace, Pool(parse_selector(section.selector), section.target_ports))
    return None


def _path(text: str) -> Path | None:
    return Path(text) if text else None

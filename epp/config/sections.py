"""The `epp:` section: what this picker adds to the Go picker's file. Every setting of the process has its key here.

Flags and plugin parameters of the Go picker are translated into these keys, so there is one place that gives a setting
its type, bounds, default and description; the reference and the JSON schema are made from it. `takes_effect` says what
a reload does with a section.
"""

from __future__ import annotations

from pydantic import model_validator

from epp.config.fields import Model
from epp.config.pool_sections import (
    EndpointsSection,
    HealthSection,
    LedgerSection,
    ModelsSection,
    PoolSection,
    PrefixSection,
    StalenessSection,
)
from epp.config.process_sections import (
    DebugSection,
    DecisionsSection,
    ExchangeSection,
    LoggingSection,
    MetricsSection,
    OverloadSection,
    PluginsSection,
    ServingSection,
    TracingSection,
)
from epp.config.scraping_sections import ScrapingSection

__all__ = ["EppSection"]


class EppSection(Model):
    """All keys of `epp:`."""

    pool: PoolSection = PoolSection()
    endpoints: EndpointsSection = EndpointsSection()
    serving: ServingSection = ServingSection()
    exchange: ExchangeSection = ExchangeSection()
    models: ModelsSection = ModelsSection()
    scraping: ScrapingSection = ScrapingSection()
    staleness: StalenessSection = StalenessSection()
    health: HealthSection = HealthSection()
    ledger: LedgerSection = LedgerSection()
    prefix: PrefixSection = PrefixSection()
    plugins: PluginsSection = PluginsSection()
    decisions: DecisionsSection = DecisionsSection()
    overload: OverloadSection = OverloadSection()
    metrics: MetricsSection = MetricsSection()
    debug: DebugSection = DebugSection()
    logging: LoggingSection = LoggingSection()
    tracing: TracingSection = TracingSection()

    @model_validator(mode="after")
    def _consistent(self) -> EppSection:
        if self.metrics.need_token and not self.debug.token_file:
            raise ValueError("metrics.needToken needs debug.tokenFile")
        ports = [port for port in (self.serving.port, self.serving.health_port, self.metrics.port) if port]
        if len(set(ports)) < len(ports):
            raise ValueError("serving.port, serving.healthPort and metrics.port must differ")
        return self

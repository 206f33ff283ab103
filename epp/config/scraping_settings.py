"""Makes the scraper's settings from their section: metric names are laid over the presets of each kind of server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from epp.config.scraping_sections import EngineSection, ScrapingSection
from epp.telemetry.engines import ENGINE_LABELS, ENGINES, CacheInfo, LoraInfo, MetricNames, Series
from epp.telemetry.scrape_settings import ScrapeSettings, TlsSettings

__all__ = ["scrape_settings"]


def scrape_settings(section: ScrapingSection) -> ScrapeSettings:
    """The settings that the section says."""
    tls = section.tls
    return ScrapeSettings(
        interval_s=section.interval,
        health_interval_s=section.health.interval,
        models_interval_s=section.models.interval,
        timeout_s=section.timeout,
        max_backoff_s=section.max_backoff,
        scheme=section.scheme,
        metrics_path=section.path,
        metrics_port=section.port or None,
        health_path=section.health.path,
        models_path=section.models.path,
        engine=section.engine,
        engine_labels=(section.engine_label,) if section.engine_label else ENGINE_LABELS,
        engines=_engines(section.engines),
        token_file=_path(section.bearer_token_file),
        tls=TlsSettings(
            tls.verify, _path(tls.ca_file), _path(tls.cert_file), _path(tls.key_file), tls.server_name or None
        ),
    )


def _engines(written: Mapping[str, EngineSection]) -> Mapping[str, MetricNames]:
    """The presets, with what was written laid over them."""
    named = {name: _names(ENGINES.get(name, MetricNames()), engine) for name, engine in written.items()}
    return {**ENGINES, **named} if named else ENGINES


def _names(preset: MetricNames, written: EngineSection) -> MetricNames:
    direct: dict[str, Any] = {
        name: Series.parse(text) if text else None
        for name in ("running", "waiting", "kv_usage", "block_size", "blocks")
        if (text := getattr(written, name)) is not None
    }
    return replace(
        preset,
        **direct,
        cache_info=_cache_info(preset.cache_info, written),
        lora_info=_lora_info(preset.lora_info, written.lora_info),
    )


def _cache_info(preset: CacheInfo | None, written: EngineSection) -> CacheInfo | None:
    info = preset
    if written.cache_info is not None:
        new = (
            CacheInfo(Series.parse(written.cache_info), "block_size", "num_gpu_blocks") if written.cache_info else None
        )
        info = replace(preset, series=new.series) if preset and new else new
    if not info:
        return None
    block_size, blocks = written.block_size_label or info.block_size, written.blocks_label or info.blocks
    return replace(info, block_size=block_size, blocks=blocks)


def _lora_info(preset: LoraInfo | None, written: str | None) -> LoraInfo | None:
    if written is None:
        return preset
    if not written:
        return None
    series = Series.parse(written)
    return replace(preset, series=series) if preset else LoraInfo(series, "running_lora_adapters", "max_lora")


def _path(text: str) -> Path | None:
    return Path(text) if text else None

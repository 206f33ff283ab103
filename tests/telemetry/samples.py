"""Reads a page of metrics with `prometheus_client`'s parsers, which know nothing of what wrote it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from epp.telemetry.families import Page, Source

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def page_of(*sources: Source, openmetrics: bool = False) -> str:
    page = Page()
    for source in sources:
        source.collect(page)
    return b"".join(page.chunks(openmetrics=openmetrics)).decode()


def samples_of(*sources: Source) -> Samples:
    """All samples, read from both formats, which must say the same."""
    plain = _samples(text_families(page_of(*sources)))
    other = _samples(openmetrics_families(page_of(*sources, openmetrics=True) + "# EOF\n"))
    assert plain.keys() == other.keys()
    assert all(plain[key] == pytest.approx(number, nan_ok=True, rel=0) for key, number in other.items())
    return plain


def value(samples: Samples, name: str, /, **labels: str) -> float | None:
    """Sum over the series that have these labels; None when there is none."""
    found = [
        number for (one, given), number in samples.items() if one == name and labels.items() <= dict(given).items()
    ]
    return sum(found) if found else None


def _samples(families: object) -> Samples:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:  # type: ignore[attr-defined]
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found

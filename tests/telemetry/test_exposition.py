import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from epp.telemetry.collectors import ProcessCollector
from epp.telemetry.exposition import OPENMETRICS, TEXT, Exposition


def page(exposition: Exposition, accept: str) -> tuple[str, str]:
    content_type, pieces = exposition.page(accept)
    return content_type, b"".join(pieces).decode()


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text; version=\x00bad;;;=", OPENMETRICS),
        ("," * 5000, TEXT),
    ],
)
def test_the_format_is_what_the_client_accepts(accept: str, content_type: str) -> None:
    given, text = page(Exposition([ProcessCollector(version="1")]), accept)
    assert given == content_type
    families = openmetrics_families(text) if given == OPENMETRICS else text_families(text)
    names = [family.name for family in families]
    assert "llm_d_epp_info" in names
    assert len(names) == len(set(names))


def test_the_registry_is_our_own_and_takes_collectors_of_others() -> None:
    exposition = Exposition([], CollectorRegistry())
    assert page(exposition, "")[1] == ""
    Counter("theirs", "a counter", registry=exposition.registry).inc()
    assert "theirs_total 1.0" in page(exposition, "")[1]


def test_sources_come_and_go() -> None:
    exposition, source = Exposition(), ProcessCollector(version="1")
    exposition.sources.append(source)
    assert "llm_d_epp_info" in page(exposition, "")[1]
    exposition.sources.remove(source)
    assert "llm_d_epp_info" not in page(exposition, "")[1]

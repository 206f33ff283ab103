from __future__ import annotations

import pytest

from epp.config.errors import Findings
from epp.config.file_model import read_parts
from epp.config.plugins import PluginSpec, resolve_plugins
from epp.config.yaml_document import read_document
from epp.scheduling.plugins.sessions import SessionIdSource


def resolved(*plugins: str) -> tuple[PluginSpec, list[str]]:
    """The first plugin, and what is told."""
    findings = Findings()
    root = read_document(f"plugins: [{', '.join(plugins)}]".encode(), "f", findings)
    assert root is not None
    specs = resolve_plugins(read_parts(root, findings), findings)
    assert findings.errors == []
    spec = next(iter(specs.values()))
    assert isinstance(spec, PluginSpec)
    return spec, [str(note) for note in findings.notes]


SCORER = "{type: mm-embeddings-cache-scorer}"
LARGE = "{type: mm-embeddings-cache-scorer, parameters: {cacheSizeInMBPerServer: 9}}"
PRODUCER = "{type: mm-embeddings-cache-producer, parameters: {cacheSizeInMBPerServer: 100}}"


@pytest.mark.parametrize(("plugins", "size"), [((SCORER,), 4096), ((SCORER, PRODUCER), 100), ((LARGE, PRODUCER), 9)])
def test_the_size_of_encoder_caches_reaches_the_scorer(plugins: tuple[str, ...], size: int) -> None:
    assert resolved(*plugins)[0].arguments["cache_size_in_mb_per_server"] == size


HEADER = "{type: session-id-producer, parameters: {headerName: x-user}}"
COOKIE = "{type: session-id-producer, parameters: {cookieName: sid}}"
SOURCES = {
    "no source": ("{}", HEADER, (SessionIdSource(header="x-user"),)),
    "a cookie": ("{}", COOKIE, (SessionIdSource(cookie="sid"),)),
    "a producer that says nothing": ("{}", "{type: session-id-producer}", ()),
    "an attribute that it publishes": (
        "{sessionIdConfig: {sources: [{attribute: session-id}]}}", HEADER, (SessionIdSource(header="x-user"),),
    ),
    "a source of its own": (
        "{sessionIdConfig: {sources: [{header: x-mine}]}}", HEADER, (SessionIdSource(header="x-mine"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("type_", ["session-affinity-scorer", "session-affinity-filter"])
@pytest.mark.parametrize("case", SOURCES)
def test_where_a_session_id_stands_reaches_the_session_plugins(type_: str, case: str) -> None:
    parameters, producer, sources = SOURCES[case]
    parameters = parameters.replace("{", "{strategy: session_id, ", 1).replace(", }", "}")
    spec, notes = resolved(f"{{type: {type_}, parameters: {parameters}}}", producer)
    assert getattr(spec.arguments["session_id_config"], "sources") == sources  # noqa: B009 - of an object
    assert notes == []

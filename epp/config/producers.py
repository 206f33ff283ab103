"""Hands parameters of the Go picker's producers on to the plugins that do the producers' part here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from epp.config.file_model import PluginEntry, Written, WrittenFile
from epp.scheduling.plugins.sessions import SessionIdConfig, SessionIdSource

__all__ = ["with_producers"]

MEDIA, SESSIONS = "mm-embeddings-cache-producer", "session-id-producer"
_CACHE_SIZE = "cacheSizeInMBPerServer"


def with_producers(
    arguments: Mapping[str, object], entry: Written[PluginEntry], file: WrittenFile
) -> Mapping[str, object]:
    """The arguments of a built-in plugin, with those of its producer. What stands in its own entry counts."""
    match entry.value.type:
        case "mm-embeddings-cache-scorer":
            size = _parameters(MEDIA, file).get(_CACHE_SIZE)
            if isinstance(size, int) and size > 0 and _CACHE_SIZE not in entry.value.parameters:
                return {**arguments, "cache_size_in_mb_per_server": size}
        case "session-affinity-scorer" | "session-affinity-filter":
            return {**arguments, "session_id_config": _sessions(arguments["session_id_config"], file)}
    return arguments


def _sessions(config: object, file: WrittenFile) -> SessionIdConfig:
    """A source that takes what the producer publishes takes it where the producer does; so does no source at all."""
    assert isinstance(config, SessionIdConfig)
    produced = _produced(file)
    if produced is None:
        return config
    sources = config.sources or (produced,)
    return replace(config, sources=tuple(produced if source.attribute else source for source in sources))


def _produced(file: WrittenFile) -> SessionIdSource | None:
    parameters = _parameters(SESSIONS, file)
    header, cookie = parameters.get("headerName"), parameters.get("cookieName")
    if isinstance(header, str) and header:
        return SessionIdSource(header=header)
    return SessionIdSource(cookie=cookie) if isinstance(cookie, str) and cookie else None


def _parameters(type_: str, file: WrittenFile) -> Mapping[str, object]:
    """Of the first plugin of a type. They are checked where the plugin is."""
    return next((entry.value.parameters for entry in file.plugins if entry.value.type == type_), {})

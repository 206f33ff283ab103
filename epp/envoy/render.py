"""Writes a configuration down, as YAML for people and as JSON for programs. Envoy reads both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import wrap

import yaml
from betterproto2 import Casing
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from epp.envoy.settings import EnvoySettings, Routing

__all__ = ["as_json", "as_yaml", "notes"]

_WIDTH = 110


def as_yaml(bootstrap: Bootstrap, comments: Sequence[str] = ()) -> str:
    """The configuration as YAML, field names as in Envoy's documentation, with a comment paragraph for each note."""
    lines = [f"# {line}".rstrip() for note in comments for line in (*wrap(note, _WIDTH), "")]
    return "".join(f"{line}\n" for line in lines) + yaml.safe_dump(_plain(bootstrap), sort_keys=False, width=_WIDTH)


def as_json(bootstrap: Bootstrap) -> str:
    """The configuration as JSON."""
    return json.dumps(_plain(bootstrap), indent=2)


def notes(settings: EnvoySettings) -> tuple[str, ...]:
    """What whoever runs this configuration should know; for `as_yaml`."""
    found = ["Envoy with an endpoint picker. Check with: envoy --mode validate -c FILE"]
    if settings.routing is Routing.ORIGINAL_DESTINATION:
        found.append("Requests go to the one address that the picker names. Without the picker they are refused (500).")
    else:
        found.append(
            "Requests go down the picker's list as far as it names endpoints of the cluster 'pool'. An endpoint that "
            "is missing there is skipped, and when all are, round robin over the pool takes over: keep the list of "
            "endpoints in step with the picker's."
        )
    if settings.max_destinations > 1:
        found.append(
            "Beware: with a retry_policy, Envoy sends the body of a request that has trailers twice to the model "
            "server (envoyproxy/envoy#45470, seen on 1.39 and 1.40). HTTP/1.1 chunked uploads with trailers and gRPC "
            "are concerned; OpenAI clients send none."
        )
    if settings.picker_tls is not None and not settings.picker_tls.ca_file:
        found.append("The way to the picker is encrypted, but its certificate is not verified.")
    return tuple(found)


def _plain(bootstrap: Bootstrap) -> dict[str, object]:
    # Packed messages come out with their "@type"; the library unpacks them as long as their modules are imported,
    # which building them has done.
    return bootstrap.to_dict(casing=Casing.SNAKE)

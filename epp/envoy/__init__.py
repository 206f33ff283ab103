"""A real Envoy in front of the picker: its configuration as typed objects, and its process.

`settings` holds what can be chosen and refuses what cannot work. `filters`, `clusters` and `bootstrap` turn it into
Envoy's own messages (package envoy-data-plane), `render` writes those down. `binary` finds the program, `launch`
decides how it is run, `process` is the edge that runs it, `tether` the script that makes it end with us.

Importing this takes about a second, for the generated classes: commands that need no Envoy should not.
"""

from __future__ import annotations

import warnings

try:
    import envoy_data_plane as _  # noqa: F401 - checked here, so that everything below may simply import it
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "Envoy's configuration classes are not installed: pip install 'endpoint-picker[envoy]'", name=missing.name
    ) from None

with warnings.catch_warnings():
    # The generated classes declare their validators in a form that pydantic 2.12 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from epp.envoy.bootstrap import build_bootstrap
from epp.envoy.binary import EnvoyError, find_envoy
from epp.envoy.launch import LaunchSettings, RestartPolicy
from epp.envoy.process import EnvoyProcess
from epp.envoy.render import as_json, as_yaml, notes
from epp.envoy.settings import EnvoySettings, Observation, PickerTls, Routing

__all__ = [
    "EnvoyError",
    "EnvoyProcess",
    "EnvoySettings",
    "LaunchSettings",
    "Observation",
    "PickerTls",
    "RestartPolicy",
    "Routing",
    "as_json",
    "as_yaml",
    "build_bootstrap",
    "find_envoy",
    "notes",
]

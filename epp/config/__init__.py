"""Flags, environment and file become `Settings`; what is wrong with them is said all at once, with places.

The way of a configuration: `yaml_document` (text to nodes with places) -> `file_model` (the Go picker's part, piece by
piece) -> `plugins` and `profiles` (what is named and how it is used) -> `translate` and `flag_table` (everything into
the shape of the `epp:` section) -> `layers` (one over the other) -> `sections` (checked) -> `settings`. `load` does it
all. Around it: `build` (the profile), `effective` (what is in effect), `check`, `reload`, `flags` (the command line),
`schema` and `reference` (documentation, made from the models). Files are read in `load` only.
"""

from epp.config.build import build_profile
from epp.config.check import CheckReport, check_text
from epp.config.effective import effective_text
from epp.config.errors import ConfigError, Place, Problem
from epp.config.fields import Part
from epp.config.flags import PickerCommand, flag_options, given_flags
from epp.config.load import ConfigFile, Loaded, load, read_config, read_settings, settings_from
from epp.config.reload import Reload, plan_reload
from epp.config.settings import (
    DiscoverySettings,
    FileSettings,
    HttpSettings,
    PoolIdentity,
    ServerTls,
    ServingSettings,
    Settings,
)

__all__ = [
    "CheckReport",
    "ConfigError",
    "ConfigFile",
    "DiscoverySettings",
    "FileSettings",
    "HttpSettings",
    "Loaded",
    "Part",
    "PickerCommand",
    "Place",
    "PoolIdentity",
    "Problem",
    "Reload",
    "ServerTls",
    "ServingSettings",
    "Settings",
    "build_profile",
    "check_text",
    "effective_text",
    "flag_options",
    "given_flags",
    "load",
    "plan_reload",
    "read_config",
    "read_settings",
    "settings_from",
]

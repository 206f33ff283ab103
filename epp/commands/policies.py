"""Policies for the simulator, by what people call them: a shipped profile, an oracle, or a configuration file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epp.config import build_profile
from epp.config.errors import ConfigError, Place, Problem, meant
from epp.config.load import ConfigFile, Loaded, read_config, read_settings
from epp.policies import names, text_of
from epp.scheduling import Profile
from epp.simulator.oracles import ORACLES
from epp.simulator.simulation import Policy, Simulation

__all__ = ["label_of", "labels_of", "load_policy", "policy_names", "warnings_of"]

_SOMEWHERE = "127.0.0.1:8000"
"""A configuration must name endpoints; those of the simulation take their place."""


def policy_names() -> tuple[str, ...]:
    """All that need no file: shipped profiles, then oracles."""
    return (*names(), *ORACLES)


def label_of(name: str) -> str:
    """What to call a policy in reports: a file by its name without directories and suffix."""
    return name if name in policy_names() else Path(name).stem


def labels_of(names: Sequence[str]) -> dict[str, str]:
    """A label for each, no two alike: where two files would have the same one, all of the name as it was given."""
    given = Counter(label_of(name) for name in names)
    return {name: label_of(name) if given[label_of(name)] == 1 else name for name in names}


def warnings_of(name: str) -> tuple[str, ...]:
    """What is absent or odd in a configuration. Raises ConfigError."""
    return () if name in ORACLES else tuple(map(str, _load(name).warnings))


def load_policy(name: str) -> Policy:
    """The policy. A shipped profile wins over a file of the same name. Raises ConfigError."""
    if name in ORACLES:
        return ORACLES[name]
    loaded = _load(name)
    settings = replace(loaded.settings.router, kept_decisions=1)

    def make_profile(simulation: Simulation) -> Profile:  # noqa: ARG001 - who sees what pickers see needs nothing else
        return build_profile(loaded.settings)

    return Policy(label_of(name), make_profile, settings)


def _load(name: str) -> Loaded:
    shown = name if name.isprintable() else repr(name)
    if name in names():
        file = ConfigFile(text_of(name).encode(), f"{name}.yaml")
    elif any(mark in name for mark in "./") or _is_file(name):
        file = ConfigFile(read_config(Path(name)), shown)
    else:
        message = f"is neither a file nor a policy that is shipped{meant(name, policy_names())}"
        raise ConfigError([Problem(Place(shown[:200]), "", message)])
    return read_settings({"endpoint": (_SOMEWHERE,)}, {}, file)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # no file can have that name
        return False

"""Finds the files, from a checkout as well as from an installed wheel."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["names", "text_of"]

_SUFFIX = ".yaml"


def names() -> tuple[str, ...]:
    """Names of all policies that are shipped, sorted."""
    found = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


def text_of(name: str) -> str:
    """The configuration file of a policy. Raises ValueError, with all names, when there is no such policy."""
    if name not in names():
        raise ValueError(f"{name[:80]!r} is no policy that is shipped; there are {', '.join(names())}")
    return files(__package__).joinpath(f"{name}{_SUFFIX}").read_text("utf-8")

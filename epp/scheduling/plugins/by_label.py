"""Filters by one label: `by-label`, and `decode-filter`, `prefill-filter` and `encode-filter` for roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from epp.endpoints import EndpointSpec
from epp.requests import InferenceRequest
from epp.scheduling.plugins.spec_column import SpecColumn
from epp.scheduling.plugins.validation import given
from epp.scheduling.types import Mask
from epp.scheduling.view import View

__all__ = ["ByLabelFilter", "DecodeFilter", "EncodeFilter", "PrefillFilter"]

_ROLE = "llm-d.ai/role"
_ALL_STAGES = frozenset({"encode-prefill-decode"})
_PREFILL_AND_DECODE = frozenset({"prefill-decode", "both"})
"""`both` is an old name of `prefill-decode`."""
_DECODE = frozenset({"decode"}) | _PREFILL_AND_DECODE | _ALL_STAGES
_PREFILL = frozenset({"prefill", "encode-prefill"}) | _PREFILL_AND_DECODE | _ALL_STAGES
_ENCODE = frozenset({"encode", "encode-prefill"}) | _ALL_STAGES


def _passes(label: str, values: frozenset[str], *, unlabelled: bool) -> Callable[[EndpointSpec], bool]:
    def read(spec: EndpointSpec) -> bool:
        value = spec.labels.get(label)
        return unlabelled if value is None else value in values

    return read


@dataclass(slots=True)
class ByLabelFilter:
    """Keeps endpoints whose label has one of the values. Deprecated. Source: llm-d-router `bylabel`."""

    label: str = ""
    """Required."""
    valid_values: tuple[str, ...] = ()
    """Values of it with which an endpoint is kept."""
    allows_no_label: bool = False
    """Whether endpoints without the label are kept."""
    _kept: SpecColumn[bool, np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given("label", self.label)
        if not self.valid_values and not self.allows_no_label:
            raise ValueError("validValues is empty and allowsNoLabel is false: no endpoint would be kept")
        unlabelled = self.allows_no_label or "" in self.valid_values
        self._kept = SpecColumn(
            _passes(self.label, frozenset(self.valid_values), unlabelled=unlabelled), fill=False, dtype=np.bool_
        )

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,)."""
        return self._kept.of(view)


@dataclass(slots=True)
class _RoleFilter:
    _kept: SpecColumn[bool, np.bool_] = field(init=False, repr=False)

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,)."""
        return self._kept.of(view)


@dataclass(slots=True)
class DecodeFilter(_RoleFilter):
    """Keeps endpoints that decode, by the label `llm-d.ai/role`, and those without a role. Source: `bylabel`."""

    def __post_init__(self) -> None:
        self._kept = SpecColumn(_passes(_ROLE, _DECODE, unlabelled=True), fill=False, dtype=np.bool_)


@dataclass(slots=True)
class PrefillFilter(_RoleFilter):
    """Keeps endpoints that prefill, by the label `llm-d.ai/role`. Source: llm-d-router `bylabel`."""

    def __post_init__(self) -> None:
        self._kept = SpecColumn(_passes(_ROLE, _PREFILL, unlabelled=False), fill=False, dtype=np.bool_)


@dataclass(slots=True)
class EncodeFilter(_RoleFilter):
    """Keeps endpoints that encode, by the label `llm-d.ai/role`. Source: llm-d-router `bylabel`."""

    def __post_init__(self) -> None:
        self._kept = SpecColumn(_passes(_ROLE, _ENCODE, unlabelled=False), fill=False, dtype=np.bool_)

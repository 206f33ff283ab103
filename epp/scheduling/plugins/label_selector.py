"""`label-selector-filter`: endpoints that a Kubernetes label selector selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from epp.requests import InferenceRequest
from epp.scheduling.plugins.spec_column import SpecColumn
from epp.scheduling.plugins.validation import given, one_of
from epp.scheduling.types import Mask
from epp.scheduling.view import View

__all__ = ["LabelSelectorFilter", "Operator", "Requirement"]

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of `matchExpressions`. Source: Kubernetes `LabelSelectorRequirement`."""

    key: str
    """Of the label."""
    operator: Operator
    """What must hold of it."""
    values: tuple[str, ...] = ()
    """Some for In and NotIn, none for the others."""

    def __post_init__(self) -> None:
        given("key", self.key)
        one_of("operator", self.operator, get_args(Operator))
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(f"values is empty; the operator {self.operator} needs at least one")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(f"values has {len(self.values)}; the operator {self.operator} takes none")

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it. NotIn is met by what has no such label, as in Kubernetes."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


@dataclass(slots=True)
class LabelSelectorFilter:
    """Keeps what meets all of both; an empty selector keeps everything. Source: llm-d-router `bylabel`."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels with the values that they must have."""
    match_expressions: tuple[Requirement, ...] = ()
    """What else must hold of labels."""
    _kept: SpecColumn[bool, np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._kept = SpecColumn(lambda spec: self._selects(spec.labels), fill=False, dtype=np.bool_)

    def keep(self, request: InferenceRequest, view: View) -> Mask:  # noqa: ARG002
        """Boolean (n,)."""
        return self._kept.of(view)

    def _selects(self, labels: Mapping[str, str]) -> bool:
        equal = all(labels.get(key) == value for key, value in self.match_labels.items())
        return equal and all(requirement.holds(labels) for requirement in self.match_expressions)

import pytest

from epp.scheduling.plugins.label_selector import LabelSelectorFilter, Operator, Requirement
from tests.scheduling.plugins.contract import chat, kept, pool_with, spec, view

LABELS = [{"gpu": "h100", "tier": "gold"}, {"gpu": "l4"}, {"gpu": ""}, {}]

SELECTORS: dict[str, tuple[dict[str, str], list[tuple[str, Operator, tuple[str, ...]]], list[int]]] = {
    "empty selects everything": ({}, [], [0, 1, 2, 3]),
    "labels must be equal": ({"gpu": "h100"}, [], [0]),
    "all labels must be equal": ({"gpu": "h100", "tier": "silver"}, [], []),
    "an empty value is a value": ({"gpu": ""}, [], [2]),
    "In": ({}, [("gpu", "In", ("h100", "l4"))], [0, 1]),
    "NotIn is met without the label": ({}, [("gpu", "NotIn", ("h100", "l4"))], [2, 3]),
    "Exists": ({}, [("gpu", "Exists", ())], [0, 1, 2]),
    "DoesNotExist": ({}, [("tier", "DoesNotExist", ())], [1, 2, 3]),
    "all requirements must be met": ({}, [("gpu", "Exists", ()), ("tier", "DoesNotExist", ())], [1, 2]),
    "labels and requirements": ({"gpu": "l4"}, [("tier", "NotIn", ("gold",))], [1]),
    "contradiction": ({"gpu": "l4"}, [("gpu", "DoesNotExist", ())], []),
}


@pytest.mark.parametrize(("labels", "expressions", "expected"), SELECTORS.values(), ids=SELECTORS)
def test_selects_as_kubernetes_does(
    labels: dict[str, str], expressions: list[tuple[str, Operator, tuple[str, ...]]], expected: list[int]
) -> None:
    plugin = LabelSelectorFilter(labels, tuple(Requirement(*one) for one in expressions))
    assert kept(plugin, chat(), view(pool_with([spec(row, one) for row, one in enumerate(LABELS)]))) == expected


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        (("", "Exists"), "key is missing or empty"),
        (("k", "Gt", ("1",)), "operator is 'Gt'; it must be In or NotIn or Exists or DoesNotExist"),
        (("k", "In"), "values is empty; the operator In needs at least one"),
        (("k", "NotIn", ()), "values is empty; the operator NotIn needs at least one"),
        (("k", "Exists", ("a",)), "values has 1; the operator Exists takes none"),
        (("k", "DoesNotExist", ("a", "b")), "values has 2; the operator DoesNotExist takes none"),
    ],
)
def test_requirements_that_kubernetes_refuses(requirement: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Requirement(*requirement)  # type: ignore[arg-type]

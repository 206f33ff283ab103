import json

import pytest

from epp.simulator.calls import AdapterCall
from epp.simulator.errors import ApiError
from epp.simulator.models import MAX_ADAPTERS, ModelRegistry


def refusal(registry: ModelRegistry, call: AdapterCall) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        registry.load(call)
    return caught.value.status, caught.value.kind, caught.value.message


def test_names_are_resolved() -> None:
    registry = ModelRegistry("base", ["a"])
    assert registry.resolve(None) == registry.resolve("") == registry.resolve("base")
    assert registry.resolve("base").adapter == ""
    assert (registry.resolve("a").adapter, registry.resolve("a").parent) == ("a", "base")
    with pytest.raises(ApiError, match=r"The model `b` does not exist. Valid aliases: base\."):
        registry.resolve("b")


def test_adapters_come_and_go() -> None:
    registry = ModelRegistry("base")
    assert registry.load(AdapterCall("c", "/c", False)) == "Success: LoRA adapter 'c' added successfully."
    assert registry.resolve("c").root == "/c"
    assert registry.load(AdapterCall("c", "/d", True)) == "Success: LoRA adapter 'c' added successfully."
    assert registry.resolve("c").root == "/d"
    assert registry.unload(AdapterCall("c", "", False)) == "Success: LoRA adapter 'c' removed successfully."
    with pytest.raises(ApiError, match="The lora adapter 'c' cannot be found") as caught:
        registry.unload(AdapterCall("c", "", False))
    assert (caught.value.status, caught.value.kind) == (404, "NotFoundError")


def test_what_cannot_be_loaded_is_refused() -> None:
    registry = ModelRegistry("base", ["a"])
    already = (
        "The lora adapter 'a' has already been loaded. If you want to load the adapter in place, "
        "set 'load_inplace' to True."
    )
    assert refusal(registry, AdapterCall("a", "/a", False)) == (400, "InvalidUserInput", already)
    assert refusal(registry, AdapterCall("base", "/a", True))[:2] == (400, "InvalidUserInput")
    assert "must be provided" in refusal(registry, AdapterCall("b", "", False))[2]


def test_adapters_are_bounded() -> None:
    registry = ModelRegistry("base", map(str, range(MAX_ADAPTERS)))
    assert "unload one first" in refusal(registry, AdapterCall("b", "/b", False))[2]
    assert registry.load(AdapterCall("0", "/b", True))


def test_the_list_has_the_base_model_first() -> None:
    cards = json.loads(ModelRegistry("base", ["a"]).page(7, 1024))["data"]
    assert [(card["id"], card["parent"], card["max_model_len"]) for card in cards] == [
        ("base", None, 1024),
        ("a", "base", None),
    ]
    assert cards[1]["root"] != cards[0]["root"]

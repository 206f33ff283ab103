"""What a simulated server serves: its base model, and LoRA adapters that can be added while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from epp.simulator.calls import AdapterCall
from epp.simulator.errors import ApiError, not_found

__all__ = ["Model", "ModelRegistry"]

MAX_ADAPTERS = 1000


@dataclass(frozen=True, slots=True)
class Model:
    """A name that requests can ask for."""

    name: str
    root: str
    """Path of the weights. Of an adapter it is part of what tells its cached blocks from others', as in vLLM."""
    parent: str | None = None
    """The base model, if this is an adapter."""

    @property
    def adapter(self) -> str:
        """The name if it is an adapter, else empty."""
        return self.name if self.parent is not None else ""


class ModelRegistry:
    """Base model and adapters of one server."""

    def __init__(self, base: str, adapters: Iterable[str] = ()) -> None:
        self._base = Model(base, f"/models/{base}")
        self._adapters = {name: Model(name, f"/adapters/{name}", base) for name in adapters}

    def resolve(self, name: str | None) -> Model:
        """The model that a request names; the base model if it names none. Raises ApiError."""
        if not name or name == self._base.name:
            return self._base
        if name in self._adapters:
            return self._adapters[name]
        raise not_found(f"The model `{name}` does not exist. Valid aliases: {self._base.name}.", "model")

    def load(self, call: AdapterCall) -> str:
        """Add an adapter; returns vLLM's message. Its weights are loaded when it is first used. Raises ApiError."""
        if not call.name or not call.path:
            raise ApiError(400, "Both 'lora_name' and 'lora_path' must be provided.", "InvalidUserInput")
        if call.name == self._base.name or (call.name in self._adapters and not call.in_place):
            message = (
                f"The lora adapter '{call.name}' has already been loaded. If you want to load the adapter in place, "
                "set 'load_inplace' to True."
            )
            raise ApiError(400, message, "InvalidUserInput")
        if call.name not in self._adapters and len(self._adapters) >= MAX_ADAPTERS:
            raise ApiError(400, f"There are {MAX_ADAPTERS} adapters already; unload one first.", "InvalidUserInput")
        self._adapters[call.name] = Model(call.name, call.path, self._base.name)
        return f"Success: LoRA adapter '{call.name}' added successfully."

    def unload(self, call: AdapterCall) -> str:
        """Remove an adapter; returns vLLM's message. Requests under way go on. Raises ApiError."""
        if call.name not in self._adapters:
            raise not_found(f"The lora adapter '{call.name}' cannot be found.")
        del self._adapters[call.name]
        return f"Success: LoRA adapter '{call.name}' removed successfully."

    def page(self, created: int, max_model_len: int) -> bytes:
        """Body of `/v1/models`: the base model, then the adapters. `created` is in Unix seconds."""
        cards: list[dict[str, object]] = [
            {
                "id": model.name,
                "object": "model",
                "created": created,
                "owned_by": "vllm",
                "root": model.root,
                "parent": model.parent,
                "max_model_len": max_model_len if model.parent is None else None,
                "permission": [],
            }
            for model in (self._base, *self._adapters.values())
        ]
        return msgspec.json.encode({"object": "list", "data": cards})

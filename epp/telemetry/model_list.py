"""Reads the answer of `/v1/models`. No IO."""

from __future__ import annotations

import msgspec

from epp.endpoints.types import ModelCard

__all__ = ["ModelListError", "parse_models"]

MAX_MODELS = 4096
"""Names that are taken from one endpoint; servers list base models and loaded adapters."""

MAX_NAME = 512
"""Characters. Longer names are left out: no request that we route could be meant for them."""


class ModelListError(ValueError):
    """The answer is no list of models; says why."""


class _Card(msgspec.Struct):
    id: str
    parent: str | None = None


class _List(msgspec.Struct):
    data: list[_Card]


_DECODER = msgspec.json.Decoder(_List)


def parse_models(body: bytes) -> tuple[ModelCard, ...]:
    """The first models of OpenAI's list format, each name once. Raises ModelListError."""
    try:
        listed = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ModelListError(f"no list of models: {error}") from None
    cards: dict[str, ModelCard] = {}
    for card in listed.data:
        if 0 < len(card.id) <= MAX_NAME and len(card.parent or "") <= MAX_NAME:
            cards.setdefault(card.id, ModelCard(card.id, card.parent or None))
        if len(cards) >= MAX_MODELS:
            break
    return tuple(cards.values())

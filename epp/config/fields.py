"""Building blocks of the configuration's models: mappings, and field types that check addresses and names."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from epp.discovery.kubernetes import parse_selector
from epp.discovery.targets import ServiceTarget, parse_target
from epp.endpoints.types import split_address
from epp.telemetry.engines import Series

__all__ = [
    "Bind",
    "Count",
    "HostAndPort",
    "LabelPairs",
    "Metric",
    "Model",
    "Name",
    "Nameserver",
    "Part",
    "Port",
    "Section",
    "Service",
    "UrlPath",
]


def _ip_address(text: str) -> str:
    """The address without brackets, or nothing. Raises ValueError."""
    if not text:
        return text
    host, port = split_address(text)
    if port is not None:
        raise ValueError(f"must be an address alone; the port has a key of its own, found {text!r}")
    return host


def _nameserver(text: str) -> str:
    split_address(text)
    return text


def _host_and_port(text: str) -> str:
    if isinstance(parse_target(text), ServiceTarget):
        raise ValueError(f"{text[:80]!r} is a DNS service: list it under srv")
    return text


def _service(text: str) -> str:
    if not text.strip().startswith("_"):
        raise ValueError(f"{text[:80]!r} is not a DNS service, which looks like _vllm._tcp.example")
    parse_target(text)
    return text


def _label_pairs(text: str) -> str:
    if text:
        parse_selector(text)
    return text


def _url_path(text: str) -> str:
    if text and not (text.startswith("/") and text.isascii() and text.isprintable()):
        raise ValueError(f"must begin with / and hold printable ASCII only, found {text[:80]!r}")
    return text


def _series(text: str) -> str:
    if text:
        Series.parse(text)
    return text


Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bind = Annotated[str, AfterValidator(_ip_address)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
Service = Annotated[str, AfterValidator(_service)]
Nameserver = Annotated[str, AfterValidator(_nameserver)]
LabelPairs = Annotated[str, AfterValidator(_label_pairs)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
Metric = Annotated[str, AfterValidator(_series)]
Name = Annotated[str, Field(min_length=1)]


class Part(Enum):
    """What can be exchanged while the picker runs; the value is for people."""

    PROFILE = "scheduling profile"
    MODELS = "model rules"
    SCRAPING = "scraping"
    ENDPOINTS = "endpoints"
    EXCHANGE = "exchange limits"
    LOGGING = "logging"
    OVERLOAD = "overload limit"


class Model(BaseModel):
    """A mapping in the file: keys in camelCase, and no others."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        protected_namespaces=(),
        allow_inf_nan=False,
    )


class Section(Model):
    """A key of `epp:`."""

    takes_effect: ClassVar[Part | None] = None
    """The part that a reload exchanges; None: at the next start."""
    example: ClassVar[str]
    """The section as it may stand in a file, for the reference."""

"""Settings that cannot work are refused, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from epp.envoy import EnvoySettings, PickerTls, Routing
from epp.envoy.settings import endpoint_of

OVERRIDE: dict[str, Any] = {"routing": Routing.OVERRIDE_HOST, "endpoints": ("10.0.0.1:8000",)}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "fail-open without a default host": ({"fail_open": True}, "fail_open needs override-host"),
    "a list without known endpoints": ({"max_destinations": 2}, "max_destinations 2 needs override-host"),
    "endpoints that Envoy would not use": ({"endpoints": ("10.0.0.1:8000",)}, "endpoints need override-host"),
    "no endpoints to choose from": ({"routing": Routing.OVERRIDE_HOST}, "override-host needs endpoints"),
    "an endpoint by name": (OVERRIDE | {"endpoints": ("vllm:8000",)}, "endpoint 'vllm:8000' is not `ip:port`"),
    "an endpoint without a port": (OVERRIDE | {"endpoints": ("10.0.0.1",)}, "needs a port between 1 and 65535"),
    "an endpoint with port 0": (OVERRIDE | {"endpoints": ("10.0.0.1:0",)}, "needs a port between 1 and 65535"),
    "an endpoint named twice": (
        OVERRIDE | {"endpoints": ("[::1]:8000", "[0:0:0:0:0:0:0:1]:8000")},
        r"endpoint \[::1\]:8000 is named twice",
    ),
    "no destination at all": (OVERRIDE | {"max_destinations": 0}, "must be between 1 and 16"),
    "an admin port for everybody": ({"admin_address": "0.0.0.0"}, "not loopback"),
    "a listener by name": ({"listener_address": "localhost"}, "listener address 'localhost' is not an IP address"),
    "a listener port out of range": ({"listener_port": 65536}, "listener port is 65536"),
    "a picker port out of range": ({"picker_port": 0}, "picker port is 0"),
    "a picker health port out of range": ({"picker_health_port": -1}, "picker health port is -1"),
    "a picker that is no host": ({"picker_address": "a b"}, "neither an IP address nor a host name"),
    "a picker address with a port": ({"picker_address": "picker:9002"}, "neither an IP address nor a host name"),
    "a time-out of nothing": ({"connect_timeout_s": 0}, "connect_timeout_s is 0"),
    "a time-out that is no number": ({"connect_timeout_s": float("nan")}, "connect_timeout_s is nan"),
    "a log path of two lines": ({"access_log": "a\nb"}, "is not a path"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnvoySettings(**values)


def test_a_name_is_checked_only_against_a_verified_certificate() -> None:
    with pytest.raises(ValueError, match="give a CA file too"):
        PickerTls(server_name="picker.example")


ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing chosen": {},
    "ports of the system's choice": {"listener_port": 0, "admin_port": 0},
    "admin on IPv6 loopback": {"admin_address": "::1"},
    "a picker by name": {"picker_address": "epp.llm.svc.cluster.local"},
    "a hint that allows nothing": {"subset_hint": ()},
    "fail-open over known endpoints": OVERRIDE | {"fail_open": True, "max_destinations": 16},
}


@pytest.mark.parametrize("values", ACCEPTED.values(), ids=ACCEPTED)
def test_what_can_work_is_accepted(values: dict[str, Any]) -> None:
    EnvoySettings(**values)


def test_an_endpoint_is_read_in_any_spelling_of_its_address() -> None:
    assert endpoint_of("[0:0:0:0:0:0:0:1]:8000") == ("::1", 8000)
    assert endpoint_of("127.0.0.1:80") == ("127.0.0.1", 80)

"""The generated configuration: what must be in every one, and what each choice changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import yaml

from epp.envoy import EnvoySettings, Observation, PickerTls, Routing, as_json, as_yaml, build_bootstrap, notes

ENDPOINTS = ("127.0.0.1:8000", "[::1]:8001")

SETTINGS = {
    f"{routing.value}, {observation.value}": EnvoySettings(
        routing=routing,
        observation=observation,
        endpoints=ENDPOINTS if routing is Routing.OVERRIDE_HOST else (),
    )
    for routing, observation in product(Routing, Observation)
}

OVERRIDE = EnvoySettings(routing=Routing.OVERRIDE_HOST, endpoints=ENDPOINTS)

DESTINATION = "x-gateway-destination-endpoint"


def plain(settings: EnvoySettings) -> dict[str, Any]:
    """The configuration as a person reads it."""
    found = yaml.safe_load(as_yaml(build_bootstrap(settings)))
    assert isinstance(found, dict)
    return found


def connection_manager(settings: EnvoySettings) -> dict[str, Any]:
    listener = plain(settings)["static_resources"]["listeners"][0]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def http_filters(settings: EnvoySettings) -> dict[str, dict[str, Any]]:
    """Configuration of each filter by the last part of its name, in order."""
    filters = connection_manager(settings)["http_filters"]
    return {entry["name"].rpartition(".")[2]: entry["typed_config"] for entry in filters}


def clusters(settings: EnvoySettings) -> dict[str, dict[str, Any]]:
    return {cluster["name"]: cluster for cluster in plain(settings)["static_resources"]["clusters"]}


def picker_endpoint(settings: EnvoySettings) -> dict[str, Any]:
    found: dict[str, Any] = clusters(settings)["picker"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0][
        "endpoint"
    ]
    return found


def route(settings: EnvoySettings) -> dict[str, Any]:
    found: dict[str, Any] = connection_manager(settings)["route_config"]["virtual_hosts"][0]["routes"][0]
    return found


every_choice = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


@every_choice
def test_a_clients_destination_is_dropped_before_the_picker_is_asked(settings: EnvoySettings) -> None:
    filters = http_filters(settings)
    assert list(filters) == ["header_mutation", "ext_proc", "router"]
    assert filters["header_mutation"]["mutations"] == {"request_mutations": [{"remove": DESTINATION}]}


@every_choice
def test_the_picker_is_told_the_hint_and_its_metadata_is_taken(settings: EnvoySettings) -> None:
    assert http_filters(settings)["ext_proc"]["metadata_options"] == {
        "forwarding_namespaces": {"untyped": ["envoy.lb", "envoy.lb.subset_hint"]},
        "receiving_namespaces": {"untyped": ["envoy.lb"]},
    }


@every_choice
def test_both_clusters_take_more_than_envoys_default_of_requests(settings: EnvoySettings) -> None:
    limits = {"max_connections": 40000, "max_pending_requests": 40000, "max_requests": 40000, "max_retries": 40000}
    found = clusters(settings)
    assert list(found) == ["pool", "picker"]
    assert [cluster["circuit_breakers"] for cluster in found.values()] == [{"thresholds": [limits]}] * 2


@every_choice
def test_the_connection_to_the_picker_is_http2_and_probed(settings: EnvoySettings) -> None:
    (options,) = clusters(settings)["picker"]["typed_extension_protocol_options"].values()
    http2 = options["explicit_http_config"]["http2_protocol_options"]
    assert http2["connection_keepalive"] == {"interval": "30s", "timeout": "10s"}


@every_choice
def test_no_time_limit_cuts_a_long_reply(settings: EnvoySettings) -> None:
    action = route(settings)["route"]
    assert (action["timeout"], action["idle_timeout"]) == ("0s", "3600s")
    assert connection_manager(settings)["stream_idle_timeout"] == "3600s"


@every_choice
def test_the_request_is_shown_whole_with_its_trailers(settings: EnvoySettings) -> None:
    mode = http_filters(settings)["ext_proc"]["processing_mode"]
    assert mode["request_header_mode"] == mode["request_trailer_mode"] == "SEND"
    assert mode["request_body_mode"] == "FULL_DUPLEX_STREAMED"


REPLY_MODES = {  # a mode of NONE is the default and left out
    Observation.FULL: ("SEND", "FULL_DUPLEX_STREAMED", "SEND"),
    Observation.LEAN: ("SEND", None, "SEND"),
    Observation.NONE: ("SKIP", None, "SKIP"),
}


@pytest.mark.parametrize(("observation", "expected"), REPLY_MODES.items())
def test_the_reply_is_shown_as_far_as_was_chosen(
    observation: Observation, expected: tuple[str, str | None, str]
) -> None:
    mode = http_filters(EnvoySettings(observation=observation))["ext_proc"]["processing_mode"]
    assert tuple(mode.get(f"response_{part}_mode") for part in ("header", "body", "trailer")) == expected


def test_original_destination_dials_what_the_header_says() -> None:
    pool = clusters(EnvoySettings())["pool"]
    assert (pool["type"], pool["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    assert pool["original_dst_lb_config"] == {"use_http_header": True, "http_header_name": DESTINATION}
    assert "retry_policy" not in route(EnvoySettings())["route"]


def test_override_host_chooses_by_metadata_among_the_endpoints() -> None:
    pool = clusters(OVERRIDE)["pool"]
    policy = pool["load_balancing_policy"]["policies"][0]["typed_extension_config"]["typed_config"]
    assert policy["override_host_sources"] == [{"metadata": {"key": "envoy.lb", "path": [{"key": DESTINATION}]}}]
    assert policy["selected_host_key"] == {"key": "envoy.lb", "path": [{"key": f"{DESTINATION}-served"}]}
    hosts = pool["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert [host["endpoint"]["address"]["socket_address"] for host in hosts] == [
        {"address": "127.0.0.1", "port_value": 8000},
        {"address": "::1", "port_value": 8001},
    ]


def test_a_list_of_destinations_is_walked_by_retries_that_cost_no_prefill() -> None:
    found = route(replace(OVERRIDE, max_destinations=3))
    assert found["route"]["retry_policy"] == {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 2,
    }
    assert int(found["request_body_buffer_limit"]) == 16 << 20


def test_one_destination_needs_no_retry_and_holds_no_body() -> None:
    assert "retry_policy" not in route(OVERRIDE)["route"]
    assert "request_body_buffer_limit" not in route(OVERRIDE)


def test_failing_open_comes_with_the_health_check_that_makes_it_work() -> None:
    closed, opened = OVERRIDE, replace(OVERRIDE, fail_open=True)
    assert "failure_mode_allow" not in http_filters(closed)["ext_proc"]
    assert "health_checks" not in clusters(closed)["picker"]
    assert http_filters(opened)["ext_proc"]["failure_mode_allow"] is True
    assert clusters(opened)["picker"]["health_checks"][0]["grpc_health_check"] == {"service_name": "readiness"}
    assert picker_endpoint(opened)["health_check_config"] == {"port_value": 9003}
    assert "health_check_config" not in picker_endpoint(closed)
    assert clusters(opened)["picker"]["common_lb_config"] == {"healthy_panic_threshold": {}}


def test_the_health_port_has_no_tls() -> None:
    opened = replace(OVERRIDE, fail_open=True, picker_tls=PickerTls())
    picker = clusters(opened)["picker"]
    (match,) = picker["transport_socket_matches"]
    assert match["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"
    assert picker["health_checks"][0]["transport_socket_match_criteria"] == match["match"] == {"plain": True}
    assert picker["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    assert "transport_socket_matches" not in clusters(replace(opened, picker_tls=None))["picker"]
    assert "transport_socket_matches" not in clusters(replace(opened, fail_open=False))["picker"]


def test_without_a_health_port_the_picker_s_own_port_is_tried() -> None:
    opened = replace(OVERRIDE, fail_open=True, picker_health_port=0)
    assert clusters(opened)["picker"]["health_checks"][0]["tcp_health_check"] == {}
    assert "health_check_config" not in picker_endpoint(opened)


TLS: dict[str, tuple[PickerTls, dict[str, Any]]] = {
    "unverified": (PickerTls(), {"validation_context": {}}),
    "verified, by address": (
        PickerTls(ca_file="/ca.pem"),
        {
            "validation_context": {
                "trusted_ca": {"filename": "/ca.pem"},
                "match_typed_subject_alt_names": [{"san_type": "IP_ADDRESS", "matcher": {"exact": "127.0.0.1"}}],
            }
        },
    ),
    "verified, by name": (
        PickerTls(ca_file="/ca.pem", server_name="picker.example"),
        {
            "validation_context": {
                "trusted_ca": {"filename": "/ca.pem"},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "picker.example"}}],
            }
        },
    ),
}


@pytest.mark.parametrize(("tls", "expected"), TLS.values(), ids=TLS)
def test_the_pickers_certificate_is_verified_with_a_ca_only(tls: PickerTls, expected: dict[str, Any]) -> None:
    context = clusters(EnvoySettings(picker_tls=tls))["picker"]["transport_socket"]["typed_config"]
    assert context["common_tls_context"] == {"alpn_protocols": ["h2"]} | expected
    assert context.get("sni") == (tls.server_name or None)


def test_h2c_has_no_transport_socket() -> None:
    assert "transport_socket" not in clusters(EnvoySettings(picker_tls=None))["picker"]


PICKERS = {
    "an IPv4 address": ("10.0.0.9", "STATIC", "10.0.0.9:9002"),
    "an IPv6 address": ("fd00::9", "STATIC", "[fd00::9]:9002"),
    "a name": ("epp.llm.svc", "STRICT_DNS", "epp.llm.svc:9002"),
}


@pytest.mark.parametrize(("address", "kind", "authority"), PICKERS.values(), ids=PICKERS)
def test_the_picker_is_reached_by_address_or_name(address: str, kind: str, authority: str) -> None:
    settings = EnvoySettings(picker_address=address)
    assert clusters(settings)["picker"].get("type", "STATIC") == kind
    assert http_filters(settings)["ext_proc"]["grpc_service"]["envoy_grpc"]["authority"] == authority


def test_a_subset_hint_is_set_before_the_picker_is_asked() -> None:
    filters = http_filters(EnvoySettings(subset_hint=ENDPOINTS))
    assert list(filters) == ["header_mutation", "set_metadata", "ext_proc", "router"]
    assert filters["set_metadata"]["metadata"] == [
        {"metadata_namespace": "envoy.lb.subset_hint", "value": {f"{DESTINATION}-subset": list(ENDPOINTS)}}
    ]


def test_the_access_log_is_off_until_it_is_asked_for() -> None:
    assert "access_log" not in connection_manager(EnvoySettings())
    (log,) = connection_manager(EnvoySettings(access_log="/dev/stdout"))["access_log"]
    assert log["typed_config"]["path"] == "/dev/stdout"


def test_yaml_and_json_say_the_same() -> None:
    bootstrap = build_bootstrap(OVERRIDE)
    assert yaml.safe_load(as_yaml(bootstrap)) == yaml.safe_load(as_json(bootstrap))


NOTES = {
    "the trap of retries": (replace(OVERRIDE, max_destinations=2), "envoyproxy/envoy#45470"),
    "the trap of unknown endpoints": (OVERRIDE, "keep the list of endpoints in step"),
    "no second choice": (EnvoySettings(), "Without the picker they are refused"),
    "no verification": (EnvoySettings(), "not verified"),
}


@pytest.mark.parametrize(("settings", "text"), NOTES.values(), ids=NOTES)
def test_the_yaml_opens_with_what_its_reader_should_know(settings: EnvoySettings, text: str) -> None:
    opening = as_yaml(build_bootstrap(settings), notes(settings)).partition("\nstatic_resources")[0]
    lines = opening.splitlines()
    assert all(line.startswith("#") for line in lines)
    assert text in " ".join(line.lstrip("# ") for line in lines)


def test_a_comment_cannot_become_configuration() -> None:
    assert yaml.safe_load(as_yaml(build_bootstrap(OVERRIDE), ["one\nadmin: {}\n\rtwo"])) == plain(OVERRIDE)

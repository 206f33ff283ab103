"""The two clusters: the pool of model servers and the picker.

Both have circuit breakers far above Envoy's default of 1,024. A request holds one stream to the picker as long as its
reply runs, so with the default the 1,025th concurrent request would be refused.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterLbPolicy,
    ClusterOriginalDstLbConfig,
    ClusterTransportSocketMatch,
    LoadBalancingPolicy,
    LoadBalancingPolicyPolicy,
    UpstreamConnectionOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DataSource,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    HealthCheckTcpHealthCheck,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    KeepaliveSettings,
    SocketAddress,
    TcpKeepalive,
    TransportSocket,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    EndpointHealthCheckConfig,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.extensions.load_balancing_policies.override_host.v3 import (
    OverrideHost,
    OverrideHostOverrideHostSource,
)
from envoy_data_plane.envoy.extensions.load_balancing_policies.round_robin.v3 import RoundRobin
from envoy_data_plane.envoy.extensions.transport_sockets.raw_buffer.v3 import RawBuffer
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions as UpstreamHttp
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptionsExplicitHttpConfig as ExplicitHttp
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any, Struct

from epp.envoy.names import PICKER_CLUSTER, POOL_CLUSTER
from epp.envoy.settings import EnvoySettings, PickerTls, Routing, endpoint_of, is_ip_address
from epp.protocol import DESTINATION, LB_NAMESPACE, SERVED

__all__ = ["MAX_IN_FLIGHT", "host_and_port", "picker_cluster", "pool_cluster", "socket_address"]

MAX_IN_FLIGHT = 40_000
"""Connections and requests per cluster; what the Go picker's chart uses. 65,535 ports per address are the ceiling."""

_POOL_IDLE_TIMEOUT = timedelta(seconds=4)
"""Idle connections to model servers are closed after it. Below the 5 s after which uvicorn closes them, else a request
meets a connection that is just going away."""

_PLAIN = {"plain": True}
"""What the health check asks for among the transport sockets of a picker with TLS: its health port has none."""

_UPSTREAM_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def pool_cluster(settings: EnvoySettings) -> Cluster:
    """The model servers: whatever the picker names, or the endpoints that were given."""
    cluster = Cluster(
        name=POOL_CLUSTER,
        connect_timeout=timedelta(seconds=settings.connect_timeout_s),
        circuit_breakers=_circuit_breakers(),
        upstream_connection_options=_tcp_keepalive(),
        typed_extension_protocol_options={_UPSTREAM_HTTP: Any.pack(_http1())},
    )
    if settings.routing is Routing.ORIGINAL_DESTINATION:
        cluster.type = ClusterDiscoveryType.ORIGINAL_DST
        cluster.lb_policy = ClusterLbPolicy.CLUSTER_PROVIDED
        cluster.original_dst_lb_config = ClusterOriginalDstLbConfig(use_http_header=True, http_header_name=DESTINATION)
    else:
        cluster.type = ClusterDiscoveryType.STATIC
        cluster.load_balancing_policy = _policy("override_host", _override_host())
        cluster.load_assignment = _assignment(POOL_CLUSTER, [endpoint_of(text) for text in settings.endpoints])
    return cluster


def picker_cluster(settings: EnvoySettings) -> Cluster:
    """The picker, over HTTP/2, with or without TLS."""
    host = settings.picker_address
    cluster = Cluster(
        name=PICKER_CLUSTER,
        type=ClusterDiscoveryType.STATIC if is_ip_address(host) else ClusterDiscoveryType.STRICT_DNS,
        connect_timeout=timedelta(seconds=settings.connect_timeout_s),
        circuit_breakers=_circuit_breakers(),
        typed_extension_protocol_options={_UPSTREAM_HTTP: Any.pack(_http2())},
        load_assignment=_assignment(PICKER_CLUSTER, [(host, settings.picker_port)], _checked_port(settings)),
    )
    if settings.picker_tls is not None:
        cluster.transport_socket = TransportSocket(
            name="envoy.transport_sockets.tls", typed_config=Any.pack(_tls(settings.picker_tls, host))
        )
    if settings.fail_open:
        cluster.health_checks = [_health_check(settings)]
        cluster.common_lb_config = ClusterCommonLbConfig(healthy_panic_threshold=Percent(value=0.0))
        if settings.picker_tls is not None and settings.picker_health_port:
            cluster.transport_socket_matches = [_plain_socket()]
    return cluster


def host_and_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if is_ip_address(host) and ip_address(host).version == 6 else f"{host}:{port}"


def _circuit_breakers() -> CircuitBreakers:
    # Retries too: Envoy's default allows three at a time, which a pod that dies under load exceeds at once.
    limits = CircuitBreakersThresholds(
        max_connections=MAX_IN_FLIGHT,
        max_pending_requests=MAX_IN_FLIGHT,
        max_requests=MAX_IN_FLIGHT,
        max_retries=MAX_IN_FLIGHT,
    )
    return CircuitBreakers(thresholds=[limits])


def _tcp_keepalive() -> UpstreamConnectionOptions:
    # Finds a host that vanished without a word within a minute; nothing else would, with no route time-out.
    return UpstreamConnectionOptions(
        tcp_keepalive=TcpKeepalive(keepalive_probes=3, keepalive_time=30, keepalive_interval=10)
    )


def _http1() -> UpstreamHttp:
    return UpstreamHttp(
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=_POOL_IDLE_TIMEOUT),
        explicit_http_config=ExplicitHttp(http_protocol_options=Http1ProtocolOptions()),
    )


def _http2() -> UpstreamHttp:
    # The PINGs find a picker that hangs: in duplex mode no message timer of Envoy's would. The windows bound what
    # Envoy holds of bodies that the picker hands back.
    options = Http2ProtocolOptions(
        initial_stream_window_size=1 << 20,
        initial_connection_window_size=16 << 20,
        connection_keepalive=KeepaliveSettings(interval=timedelta(seconds=30), timeout=timedelta(seconds=10)),
    )
    return UpstreamHttp(explicit_http_config=ExplicitHttp(http2_protocol_options=options))


def _tls(tls: PickerTls, picker_address: str) -> UpstreamTlsContext:
    name = tls.server_name or picker_address
    return UpstreamTlsContext(
        sni="" if is_ip_address(name) else name,  # TLS has no server name for addresses (RFC 6066, 3)
        common_tls_context=CommonTlsContext(
            alpn_protocols=["h2"],
            validation_context=_verified_by(tls.ca_file, name) if tls.ca_file else CertificateValidationContext(),
        ),
    )


def _verified_by(ca_file: str, name: str) -> CertificateValidationContext:
    kind = SubjectAltNameMatcherSanType.IP_ADDRESS if is_ip_address(name) else SubjectAltNameMatcherSanType.DNS
    return CertificateValidationContext(
        trusted_ca=DataSource(filename=ca_file),
        match_typed_subject_alt_names=[SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=name))],
    )


def _checked_port(settings: EnvoySettings) -> int:
    """Where the picker's health is asked for; 0: on the port of external processing."""
    return settings.picker_health_port if settings.fail_open else 0


def _health_check(settings: EnvoySettings) -> HealthCheck:
    """Makes fail-open work for requests with a body.

    When the picker does not answer, Envoy finds out after the first body chunk has come, and then fails the request
    even with `failure_mode_allow` (tried on Envoy 1.40: 500 for every POST). A host known to be down fails before
    that. A panic threshold of 0 goes with it, else the only host is used whatever its health.

    It must be an answer: the kernel accepts connections for a picker that hangs. A hang is known after two time-outs
    and an interval, so within about six seconds.
    """
    second = timedelta(seconds=1)
    check = HealthCheck(
        timeout=2 * second,
        interval=second,
        no_traffic_interval=second,
        unhealthy_threshold=2,
        healthy_threshold=1,
    )
    if settings.picker_health_port:
        check.grpc_health_check = HealthCheckGrpcHealthCheck(service_name="readiness")
        if settings.picker_tls is not None:
            check.transport_socket_match_criteria = Struct.from_dict(_PLAIN)
    else:  # finds a picker that is gone, not one that hangs
        check.tcp_health_check = HealthCheckTcpHealthCheck()
    return check


def _plain_socket() -> ClusterTransportSocketMatch:
    # Endpoints have no metadata that matches, so calls of the picker use the cluster's own transport socket, with TLS.
    socket = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=Any.pack(RawBuffer()))
    return ClusterTransportSocketMatch(name="plain", match=Struct.from_dict(_PLAIN), transport_socket=socket)


def _override_host() -> OverrideHost:
    # The source is the metadata, which no client can set, not the header.
    return OverrideHost(
        override_host_sources=[OverrideHostOverrideHostSource(metadata=_metadata_key(DESTINATION))],
        selected_host_key=_metadata_key(SERVED),
        fallback_policy=_policy("round_robin", RoundRobin()),
    )


def _metadata_key(name: str) -> MetadataKey:
    return MetadataKey(key=LB_NAMESPACE, path=[MetadataKeyPathSegment(key=name)])


def _policy(name: str, config: OverrideHost | RoundRobin) -> LoadBalancingPolicy:
    extension = TypedExtensionConfig(name=f"envoy.load_balancing_policies.{name}", typed_config=Any.pack(config))
    return LoadBalancingPolicy(policies=[LoadBalancingPolicyPolicy(typed_extension_config=extension)])


def _assignment(cluster: str, addresses: list[tuple[str, int]], checked_port: int = 0) -> ClusterLoadAssignment:
    check = EndpointHealthCheckConfig(port_value=checked_port) if checked_port else None
    hosts = [
        LbEndpoint(endpoint=Endpoint(address=socket_address(host, port), health_check_config=check))
        for host, port in addresses
    ]
    return ClusterLoadAssignment(cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=hosts)])


def socket_address(host: str, port: int) -> Address:
    """An address as Envoy's configuration wants it: IPv6 without brackets."""
    return Address(socket_address=SocketAddress(address=host, port_value=port))

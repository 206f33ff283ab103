"""Puts the whole configuration of one Envoy together: listener, route, clusters, admin port."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.core.v3 import SubstitutionFormatString
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import DownstreamConnectionsConfig
from envoy_data_plane.google.protobuf import Any, Struct

from epp.envoy.clusters import MAX_IN_FLIGHT, picker_cluster, pool_cluster, socket_address
from epp.envoy.filters import http_filters
from epp.envoy.names import LISTENER, POOL_CLUSTER
from epp.envoy.settings import EnvoySettings

__all__ = ["build_bootstrap"]

_HEADERS_TIMEOUT_S = 10.0
"""A client that has not sent its headers by then is cut off. A header block is one packet or two."""

_IDLE_TIMEOUT = timedelta(hours=1)
"""Without a byte in either direction: as long as the longest wait in a queue plus prefill. The default is 5 minutes."""

_BUFFER_LIMIT_BYTES = 1024 * 1024
"""Per connection; one body message to the picker is at most this large, and gRPC servers refuse messages over 4 MiB by
default. No limit on the size of a body."""

_RETRY_BUFFER_BYTES = 16 * 1024 * 1024
"""Bodies above it are not sent to a second destination. Held per request, so only where there is one."""

_RETRY_ON = "connect-failure,refused-stream,reset-before-request"
"""Only what happens before the model server has the request: a retry on `5xx` would run an expensive prefill again."""

_ACCESS_LOG_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "endpoint": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}


def build_bootstrap(settings: EnvoySettings) -> Bootstrap:
    """The configuration that Envoy starts with."""
    return Bootstrap(
        admin=Admin(address=socket_address(settings.admin_address, settings.admin_port)),
        static_resources=BootstrapStaticResources(
            listeners=[_listener(settings)], clusters=[pool_cluster(settings), picker_cluster(settings)]
        ),
        overload_manager=_connection_limit(),
    )


def _listener(settings: EnvoySettings) -> Listener:
    manager = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=Any.pack(_connection_manager(settings))
    )
    return Listener(
        name=LISTENER,
        address=socket_address(settings.listener_address, settings.listener_port),
        per_connection_buffer_limit_bytes=_BUFFER_LIMIT_BYTES,
        # With a socket per worker thread a second Envoy on this port would start, and take a share of the connections.
        enable_reuse_port=False,
        filter_chains=[FilterChain(filters=[manager])],
    )


def _connection_manager(settings: EnvoySettings) -> HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix="epp",
        use_remote_address=True,  # a client's own X-Forwarded-For is not believed
        stream_idle_timeout=_IDLE_TIMEOUT,
        request_headers_timeout=timedelta(seconds=_HEADERS_TIMEOUT_S),
        route_config=RouteConfiguration(
            name="all", virtual_hosts=[VirtualHost(name="all", domains=["*"], routes=[_route(settings)])]
        ),
        http_filters=http_filters(settings),
        access_log=_access_logs(settings.access_log),
    )


def _route(settings: EnvoySettings) -> Route:
    route = Route(
        match=RouteMatch(prefix="/"),
        route=RouteAction(
            cluster=POOL_CLUSTER,
            timeout=timedelta(0),  # none: a long reply is normal, and the default would cut it after 15 s
            idle_timeout=_IDLE_TIMEOUT,
        ),
    )
    if settings.max_destinations > 1:
        assert route.route is not None
        route.route.retry_policy = RetryPolicy(retry_on=_RETRY_ON, num_retries=settings.max_destinations - 1)
        route.request_body_buffer_limit = _RETRY_BUFFER_BYTES
    return route


def _access_logs(path: str) -> list[AccessLog]:
    if not path:
        return []
    line = SubstitutionFormatString(json_format=Struct.from_dict(_ACCESS_LOG_FIELDS))
    return [
        AccessLog(name="envoy.access_loggers.file", typed_config=Any.pack(FileAccessLog(path=path, log_format=line)))
    ]


def _connection_limit() -> OverloadManager:
    return OverloadManager(
        resource_monitors=[
            ResourceMonitor(
                name="envoy.resource_monitors.global_downstream_max_connections",
                typed_config=Any.pack(DownstreamConnectionsConfig(max_active_downstream_connections=MAX_IN_FLIGHT)),
            )
        ]
    )

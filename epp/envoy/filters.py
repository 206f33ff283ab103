"""The HTTP filters of the listener, in the order in which a request meets them.

    header_mutation   drops a destination header that the client sent
    set_metadata      only with a subset hint
    ext_proc          asks the picker
    router            sends

The first one is why a client cannot choose its own endpoint. It must be a filter in front of ext_proc: a route's
`request_headers_to_remove` is carried out by the router, after the picker has answered, and removes the picker's own
header (with original-destination: 503 for every request; tried on Envoy 1.40).
"""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    MetadataOptions,
    MetadataOptionsMetadataNamespaces,
    ProcessingMode,
)
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import ProcessingModeBodySendMode as BodyMode
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import ProcessingModeHeaderSendMode as HeaderMode
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.http.set_metadata.v3 import Config as SetMetadata
from envoy_data_plane.envoy.extensions.filters.http.set_metadata.v3 import Metadata
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any, Struct

from epp.envoy.clusters import host_and_port
from epp.envoy.names import PICKER_CLUSTER
from epp.envoy.settings import EnvoySettings, Observation
from epp.protocol import DESTINATION, LB_NAMESPACE, SUBSET, SUBSET_NAMESPACE

__all__ = ["http_filters", "processing_mode"]

_MESSAGE_TIMEOUT = timedelta(seconds=60)
"""For an answer of the picker, which has a deadline of its own. Armed in lean mode for the reply's headers only, never
in duplex. The default is 200 ms."""

_REPLY_MODES = {
    Observation.FULL: (HeaderMode.SEND, BodyMode.FULL_DUPLEX_STREAMED, HeaderMode.SEND),
    # The trailer mode keeps the stream open until the reply is over: that is how its end is seen.
    Observation.LEAN: (HeaderMode.SEND, BodyMode.NONE, HeaderMode.SEND),
    Observation.NONE: (HeaderMode.SKIP, BodyMode.NONE, HeaderMode.SKIP),
}


def http_filters(settings: EnvoySettings) -> list[HttpFilter]:
    """All filters of the listener, in order."""
    filters = [_drop_client_destination()]
    if settings.subset_hint is not None:
        filters.append(_subset_hint(settings.subset_hint))
    return [*filters, _ask_picker(settings), _send()]


def processing_mode(observation: Observation) -> ProcessingMode:
    """What ext_proc shows to the picker. The request is always duplex, which makes its trailers mandatory."""
    headers, body, trailers = _REPLY_MODES[observation]
    return ProcessingMode(
        request_header_mode=HeaderMode.SEND,
        request_body_mode=BodyMode.FULL_DUPLEX_STREAMED,
        request_trailer_mode=HeaderMode.SEND,
        response_header_mode=headers,
        response_body_mode=body,
        response_trailer_mode=trailers,
    )


def _drop_client_destination() -> HttpFilter:
    return HttpFilter(
        name="envoy.filters.http.header_mutation",
        typed_config=Any.pack(HeaderMutation(mutations=Mutations(request_mutations=[Mutation(remove=DESTINATION)]))),
    )


def _subset_hint(allowed: tuple[str, ...]) -> HttpFilter:
    hint = Metadata(metadata_namespace=SUBSET_NAMESPACE, value=Struct.from_dict({SUBSET: list(allowed)}))
    return HttpFilter(name="envoy.filters.http.set_metadata", typed_config=Any.pack(SetMetadata(metadata=[hint])))


def _ask_picker(settings: EnvoySettings) -> HttpFilter:
    return HttpFilter(
        name="envoy.filters.http.ext_proc",
        typed_config=Any.pack(
            ExternalProcessor(
                grpc_service=GrpcService(
                    envoy_grpc=GrpcServiceEnvoyGrpc(
                        cluster_name=PICKER_CLUSTER,
                        authority=host_and_port(settings.picker_address, settings.picker_port),
                    )
                ),
                failure_mode_allow=settings.fail_open,
                processing_mode=processing_mode(settings.observation),
                message_timeout=_MESSAGE_TIMEOUT,
                # Without the receiving namespace Envoy drops the picker's metadata silently, and override_host then
                # serves every request by its fallback policy.
                metadata_options=MetadataOptions(
                    forwarding_namespaces=MetadataOptionsMetadataNamespaces(untyped=[LB_NAMESPACE, SUBSET_NAMESPACE]),
                    receiving_namespaces=MetadataOptionsMetadataNamespaces(untyped=[LB_NAMESPACE]),
                ),
            )
        ),
    )


def _send() -> HttpFilter:
    return HttpFilter(name="envoy.filters.http.router", typed_config=Any.pack(Router(suppress_envoy_headers=True)))

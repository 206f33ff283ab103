"""Names on which gateways and the picker must agree (Endpoint Picker Protocol 1.0, GIE proposal 004).

They stand at the bottom because the server, the Envoy configurations and plugins all use them.
"""

from __future__ import annotations

__all__ = [
    "DESTINATION",
    "EXT_PROC_SERVICE",
    "LB_NAMESPACE",
    "SERVED",
    "SUBSET",
    "SUBSET_NAMESPACE",
]

DESTINATION = "x-gateway-destination-endpoint"
"""Request header, and key in `LB_NAMESPACE`, that name the pick."""

LB_NAMESPACE = "envoy.lb"

SERVED = "x-gateway-destination-endpoint-served"
"""Key in `LB_NAMESPACE` that names the endpoint that answered."""

SUBSET_NAMESPACE, SUBSET = "envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset"
"""Where the endpoints stand that the gateway allows."""

EXT_PROC_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
"""gRPC service of the picker, and the health service name that Envoy configurations ask for."""

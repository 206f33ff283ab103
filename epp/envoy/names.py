"""Names of our own in Envoy's configuration, statistics and admin pages."""

from __future__ import annotations

__all__ = ["LISTENER", "PICKER_CLUSTER", "POOL_CLUSTER"]

LISTENER, PICKER_CLUSTER, POOL_CLUSTER = "http", "picker", "pool"

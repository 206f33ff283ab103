"""What is known of the endpoints of one pool: who they are, what their servers say, and what we placed on them.

`table` holds a row of `columns` per endpoint. Around it, each module keeps the columns of one concern: `ledger` (our
work in flight), `freshness` (server metrics, reconciled and faded), `health` (whether to use it), `rates` (learned
speed), and beside the columns `adapters` (LoRA slots) and `models` (who serves what). `pool` ties them together.
Time comes in as an argument; nothing here knows requests or policies.
"""

from epp.endpoints.adapters import AdapterState
from epp.endpoints.freshness import FreshnessSettings
from epp.endpoints.health import HealthSettings, Verdict
from epp.endpoints.ledger import Charge
from epp.endpoints.pool import CacheListener, EndpointPool, PoolSettings
from epp.endpoints.table import EndpointTable, Row, RowRef
from epp.endpoints.types import EndpointSpec, ModelCard, Scrape, canonical_address, split_address

__all__ = [
    "AdapterState",
    "CacheListener",
    "Charge",
    "EndpointPool",
    "EndpointSpec",
    "EndpointTable",
    "FreshnessSettings",
    "HealthSettings",
    "ModelCard",
    "PoolSettings",
    "Row",
    "RowRef",
    "Scrape",
    "Verdict",
    "canonical_address",
    "split_address",
]

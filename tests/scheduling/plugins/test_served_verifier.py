import pytest

from epp.scheduling.plugins.served_verifier import DestinationEndpointServedVerifier
from tests.scheduling.plugins.contract import placement, pool_with


@pytest.mark.parametrize(
    ("served", "told"),
    [
        ("10.0.0.9:8000", "10.0.0.9:8000"),
        (None, "fail: missing destination endpoint served metadata"),
        ("", "fail: missing destination endpoint served metadata"),
    ],
)
def test_the_client_is_told_who_served_as_the_proxy_reports_it(served: str | None, told: str) -> None:
    headers = DestinationEndpointServedVerifier().replied(placement(pool_with(1), 0), served)
    assert headers == {"x-conformance-test-served-endpoint": told}

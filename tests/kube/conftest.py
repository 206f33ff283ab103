"""A test API server, and an access to it."""

from collections.abc import AsyncIterator

import pytest

from epp.discovery.kubernetes import Access
from epp.discovery.kubernetes.access import User
from tests.kube.api_server import ApiServer, running_api_server


@pytest.fixture
async def api_server() -> AsyncIterator[ApiServer]:
    """A server without any object."""
    async with running_api_server() as server:
        yield server


@pytest.fixture
def access(api_server: ApiServer) -> Access:
    """The way to it."""
    return Access(api_server.url, user=User(token=api_server.token), source="the test")

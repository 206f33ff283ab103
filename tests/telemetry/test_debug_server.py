"""The server over loopback. `Host` and forwarding headers make a client look as if it came from elsewhere."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from epp.router import Router
from epp.telemetry.clock import Clock
from epp.telemetry.collectors import PoolCollector, ProcessCollector
from epp.telemetry.debug_access import AccessSettings
from epp.telemetry.debug_server import MAX_BODY_BYTES, MAX_CONNECTIONS, DebugPages, DebugServer, DebugSettings
from epp.telemetry.exposition import Exposition
from epp.telemetry.logs import Level, LogSettings, start_logging
from epp.telemetry.metrics import RequestMetrics
from tests.router.desk import Desk, chat

AWAY = {"X-Forwarded-For": "10.0.0.9"}
TOKEN = {"Authorization": "Bearer s3cret"}


class Site:
    """A server, what it shows, and a client."""

    def __init__(self, server: DebugServer, pages: DebugPages, desk: Desk, client: aiohttp.ClientSession) -> None:
        self.server, self.pages, self.desk = server, pages, desk
        self._client = client

    async def ask(
        self, path: str, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self._client.request(method, url, data=body, headers=headers) as response:
            return response.status, await response.read(), response.headers.copy()

    async def json(self, path: str, method: str = "GET", body: object = None) -> tuple[int, dict[str, object]]:
        data = None if body is None else json.dumps(body).encode()
        status, text, headers = await self.ask(path, method, data)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(text)


def no_config() -> str:
    return "kind: EndpointPickerConfig\n"


@pytest.fixture
def access() -> AccessSettings:
    return AccessSettings("s3cret")


@pytest.fixture
async def site(access: AccessSettings) -> AsyncIterator[Site]:
    metrics = RequestMetrics("a")
    desk = Desk(2, observer=metrics)
    clock = Clock(lambda: desk.now, lambda: desk.now)
    sources = [PoolCollector(desk.router, metrics, clock.monotonic), ProcessCollector(version="1")]
    log = start_logging(LogSettings(Level.INFO), io.StringIO())
    pages = DebugPages(Exposition(sources), {"a": desk.router}, clock, no_config, log)  # type: ignore[arg-type]
    server = DebugServer(DebugSettings(port=0, access=access), pages)
    await server.start()
    async with aiohttp.ClientSession() as client:
        yield Site(server, pages, desk, client)
    await server.stop()
    log.stop()


PAGES = ("/config", "/endpoints", "/debug/decisions", "/debug/decisions/x", "/debug/log-level", "/nothing")


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_for_this_machine_and_the_token(site: Site, path: str) -> None:
    here = (await site.ask(path))[0]
    assert here == (404 if path in ("/debug/decisions/x", "/nothing") else 200)
    assert (await site.ask(path, headers=AWAY | TOKEN))[0] == here
    status, body, headers = await site.ask(path, headers=AWAY | {"Authorization": "Bearer wrong"})
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="epp"')
    assert json.loads(body) == {"error": "this page needs the bearer token"}


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
async def test_health_and_metrics_are_open(site: Site, path: str) -> None:
    assert (await site.ask(path, headers=AWAY))[0] == 200


@pytest.mark.parametrize("access", [AccessSettings("s3cret", protect_metrics=True)])
async def test_metrics_can_be_protected(site: Site) -> None:
    assert (await site.ask("/metrics", headers=AWAY))[0] == 401
    assert (await site.ask("/metrics", headers=AWAY | TOKEN))[0] == 200
    assert (await site.ask("/healthz", headers=AWAY))[0] == 200


@pytest.mark.parametrize("access", [AccessSettings()])
async def test_without_a_token_pages_are_for_this_machine_alone(site: Site) -> None:
    assert (await site.ask("/config"))[0] == 200
    assert (await site.ask("/config", headers=AWAY | TOKEN))[0] == 403


@pytest.mark.parametrize("header", ["Host", "Origin", "Via", "Forwarded"])
async def test_what_browsers_and_proxies_send_on_is_not_from_here(site: Site, header: str) -> None:
    assert (await site.ask("/config", headers={header: "evil.example"}))[0] == 401


async def test_metrics_come_in_the_format_that_is_accepted(site: Site) -> None:
    site.desk.place()
    status, body, headers = await site.ask("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "application/openmetrics-text")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"llm_d_epp_request", "epp_endpoints", "process_cpu_seconds"} <= names
    _, body, headers = await site.ask("/metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in body
    assert b"llm_d_epp_request_total{" in body


async def test_head_has_no_body(site: Site) -> None:
    for path in ("/metrics", "/healthz", "/endpoints"):
        assert (await site.ask(path, "HEAD"))[:2] == (200, b"")


async def test_answers_are_not_to_be_guessed_at_nor_kept(site: Site) -> None:
    for path in ("/healthz", "/metrics", "/config", "/endpoints", "/nothing"):
        _, _, headers = await site.ask(path)
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        assert "html" not in headers["Content-Type"]


async def test_config_is_text(site: Site) -> None:
    status, body, headers = await site.ask("/config")
    assert (status, body.decode(), headers["Content-Type"]) == (200, no_config(), "text/plain; charset=utf-8")


async def test_endpoints_and_decisions(site: Site) -> None:
    _, endpoint = site.desk.place(headers={"x-request-id": "a/b ö"})
    _, view = await site.json(f"/endpoints?endpoint={endpoint}")
    assert [one["address"] for one in view["endpoints"]] == [endpoint]  # type: ignore[attr-defined]
    _, view = await site.json("/debug/decisions?last=5")
    assert (view["pool"], [one["id"] for one in view["decisions"]]) == ("a", ["epp-1"])  # type: ignore[attr-defined]
    for name in ("epp-1", "a/b%20%C3%B6"):
        status, view = await site.json(f"/debug/decisions/{name}")
        assert (status, view["id"]) == (200, "epp-1")
        assert len(view["explanation"]["candidates"]) == 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/debug/decisions?last=0", 400),
        ("GET", "/debug/decisions?last=x", 400),
        ("GET", "/endpoints?pool=b", 400),
        ("GET", "/debug/decisions/../../etc/passwd", 404),
        ("GET", "/debug/decisions/%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/<script>alert(1)</script>", 404),
        ("POST", "/config", 405),
        ("GET", "/debug/explain", 405),
        ("POST", "/debug/explain", 400),
        ("PUT", "/debug/log-level", 400),
    ],
)
async def test_mistakes_are_told_and_nothing_is_reflected(site: Site, method: str, path: str, status: int) -> None:
    given, view = await site.json(path, method)
    assert given == status
    assert list(view) == ["error"]
    assert "script" not in str(view)


async def test_pools_are_looked_up_by_name(site: Site) -> None:
    pools = site.pages.pools
    assert isinstance(pools, dict)
    pools["b"] = Desk(1).router
    assert (await site.json("/endpoints"))[0] == 400
    _, view = await site.json("/endpoints?pool=b")
    assert (view["pool"], len(view["endpoints"])) == ("b", 1)  # type: ignore[arg-type]


async def test_a_request_is_explained_and_not_placed(site: Site) -> None:
    site.desk.place()
    status, view = await site.json("/debug/explain", "POST", {"body": chat()})
    assert (status, view["model"]) == (200, "base")
    assert view["picked"]
    assert site.desk.router.in_flight == len(site.desk.router.decisions) == 1


async def test_bodies_are_bounded(site: Site) -> None:
    body = b'{"body": "' + b"x" * MAX_BODY_BYTES + b'"}'
    status, _, _ = await site.ask("/debug/explain", "POST", io.BytesIO(body))
    assert status == 413


async def test_a_compressed_body_is_not_unpacked(site: Site) -> None:
    status, body, _ = await site.ask("/debug/explain", "POST", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert (status, json.loads(body)["error"]) == (400, "compressed bodies are not taken")


async def test_the_log_level_can_be_read_and_changed(site: Site) -> None:
    assert await site.json("/debug/log-level") == (200, {"level": "info"})
    assert await site.json("/debug/log-level", "PUT", {"level": 4}) == (200, {"level": "debug"})
    assert site.pages.log.level is Level.DEBUG
    assert (await site.json("/debug/log-level", "PUT", {"level": "loud"}))[0] == 400
    assert (await site.ask("/debug/log-level", "PUT", b"trace", AWAY))[0] == 401
    assert await site.json("/debug/log-level") == (200, {"level": "debug"})


class Failing(dict[str, Router]):
    def __len__(self) -> int:
        raise RuntimeError("broken")


async def test_a_page_that_fails_says_no_more_than_that(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    pages = replace(site.pages, pools=Failing())
    server = DebugServer(DebugSettings(port=0), pages)
    await server.start()
    broken = Site(server, pages, site.desk, site._client)
    assert await broken.json("/endpoints") == (500, {"error": "the page failed; the log says why"})
    assert (await broken.ask("/healthz"))[0] == 200
    await server.stop()
    assert [one.getMessage() for one in caplog.records] == ["a debug page failed"]


async def test_connections_are_bounded(site: Site) -> None:
    port = site.server.port
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with suppress(ConnectionError):  # a reset, when the request came before the close
        assert await reader.read() == b""
    for _, one in (*opened, (reader, writer)):
        one.close()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /healthz HT", b""),
        (b"PUT /debug/log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1", b"HTTP/1.1 408"),
    ],
)
async def test_who_keeps_us_waiting_is_left(site: Site, sent: bytes, answer: bytes) -> None:
    server = DebugServer(DebugSettings(port=0, read_timeout_s=0.01), site.pages)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    assert (await reader.read(12)) == answer
    writer.close()
    await server.stop()


async def test_a_port_in_use_is_told(site: Site) -> None:
    second = DebugServer(DebugSettings(port=site.server.port), site.pages)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop()

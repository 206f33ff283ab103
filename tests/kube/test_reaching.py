"""How the API server is reached: TLS, certificates, proxies, and credentials that are renewed."""

import datetime
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from epp.discovery.kubernetes import Access
from epp.discovery.kubernetes.access import ExecPlugin, User
from epp.discovery.kubernetes.answers import ApiError, Failing
from epp.discovery.kubernetes.api_client import ApiClient
from epp.extproc.credentials import self_signed
from tests.discovery.kubernetes.test_credentials import program
from tests.kube.api_server import ApiServer

PATH = "/api/v1/namespaces/prod/pods"


async def listed(access: Access) -> bytes:
    async with ApiClient(access) as api:
        return await api.get(PATH, {"limit": "1"})


async def failing(access: Access) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await listed(access)
    return caught.value


async def test_a_proxy_is_asked(api_server: ApiServer, access: Access) -> None:
    through = replace(access, server="http://kubernetes.invalid", proxy=api_server.url)
    assert b"PodList" in await listed(through)


class Pair:
    """A certificate that is its own authority, with its key."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = self_signed(datetime.datetime.now(datetime.UTC))
        self.files = folder / "crt", folder / "key"
        for file, data in zip(self.files, (self.certificate, self.key), strict=True):
            file.write_bytes(data)

    def server_context(self, *, ask: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.files)
        if ask:
            context.load_verify_locations(cadata=self.certificate.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


async def over_tls(server: ApiServer, pair: Pair, *, ask: bool = False) -> Access:
    """The access to the server, started again with TLS."""
    await server.kill()
    server.tls = pair.server_context(ask=ask)
    await server.start()
    return Access(server.url, ca=pair.certificate, user=User(token=server.token), server_name="localhost")


async def test_a_server_is_known_by_its_authority_and_its_name(api_server: ApiServer, pair: Pair) -> None:
    access = await over_tls(api_server, pair)
    assert b"PodList" in await listed(access)
    assert b"PodList" in await listed(replace(access, ca=pair.files[0]))
    assert b"PodList" in await listed(replace(access, ca=None, verify=False))
    for stranger in (replace(access, ca=None), replace(access, server_name="another")):
        error = await failing(stranger)
        assert error.failing is Failing.UNREACHABLE
        assert "certificate" in error.text.lower()


async def test_our_own_certificate_is_shown(api_server: ApiServer, pair: Pair) -> None:
    access = await over_tls(api_server, pair, ask=True)
    ours = User(certificate=pair.certificate, key=pair.key, token=api_server.token)
    assert b"PodList" in await listed(replace(access, user=ours))
    assert (await failing(access)).failing is Failing.UNREACHABLE


PRINTING = """
import json, pathlib
print(json.dumps({"status": {"token": pathlib.Path(__file__).with_name("now").read_text()}}))
"""


async def test_a_program_is_asked_again_when_its_token_is_refused(
    api_server: ApiServer, access: Access, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    now.write_text(api_server.token)
    plugin = ExecPlugin(program(tmp_path / "plugin", PRINTING))
    async with ApiClient(replace(access, user=User(plugin=plugin))) as api:
        await api.get(PATH, {})
        api_server.token = "another"
        now.write_text("another")
        assert b"PodList" in await api.get(PATH, {})
        now.write_text("wrong")
        api_server.token = "a third one"
        with pytest.raises(ApiError) as caught:
            await api.get(PATH, {})
        assert caught.value.failing is Failing.UNAUTHORIZED


async def test_an_answer_that_is_too_long_is_given_up(
    api_server: ApiServer, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epp.discovery.kubernetes.api_client.MAX_PAGE_BYTES", 20)
    assert (await failing(access)).failing is Failing.BAD_ANSWER


async def test_a_watch_of_which_nothing_is_heard_ends(
    api_server: ApiServer, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epp.discovery.kubernetes.api_client.QUIET_S", 0.1)
    async with (
        ApiClient(access) as api,
        api.watch(PATH, {"watch": "true", "resourceVersion": "1000"}, 300) as lines,
    ):
        assert [line async for line in lines] == []

"""What becomes of endpoints while objects, connections and permissions come and go."""

import asyncio
import logging
import time

import numpy as np
import pytest

from epp.discovery.kubernetes import (
    Access,
    KubernetesSource,
    LabelSelector,
    PodSelection,
    Pool,
    PoolReference,
)
from epp.discovery.kubernetes import reflector as reflector_module
from epp.discovery.kubernetes.access import User
from tests.kube.api_server import PODS, POOLS, ApiServer
from tests.kube.objects import LABELS, NAMESPACE, pod, pool
from tests.kube.watching import until, watching

REFERENCE = PoolReference("llama", NAMESPACE)
A, B, C = "10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="epp")


@pytest.fixture
def source(access: Access) -> KubernetesSource:
    return KubernetesSource(REFERENCE, access, np.random.default_rng(1))


def said(caplog: pytest.LogCaptureFixture, *words: str) -> list[str]:
    """Lines of the log with all of these words."""
    return [text for record in caplog.records if all(word in (text := record.getMessage()) for word in words)]


def fill(server: ApiServer) -> None:
    server.apply(POOLS, pool())
    server.apply(PODS, pod("a", "10.0.0.1"))
    server.apply(PODS, pod("b", "10.0.0.2"))


async def settled(server: ApiServer) -> None:
    """Both watches are open."""
    await until(lambda: server.watching == 2)


async def test_pods_come_and_go(api_server: ApiServer, source: KubernetesSource) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        assert len(watched.sets) == 1, "pods one by one"
        await settled(api_server)
        api_server.apply(PODS, pod("c", "10.0.0.3", ready=False))
        api_server.apply(PODS, pod("other", "10.0.0.9", labels={"app": "other"}))
        api_server.delete(PODS, NAMESPACE, "a")
        await watched.wait_for(B)
        began = time.monotonic()
        api_server.apply(PODS, pod("c", "10.0.0.3"))
        await watched.wait_for(B, C)
        assert time.monotonic() - began < 1.0, "a pod that turns ready receives traffic within a second"
        api_server.apply(PODS, pod("b", "10.0.0.2", labels={"app": "other"}))
        await watched.wait_for(C)
        terminating = pod("c", "10.0.0.3")
        terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        api_server.apply(PODS, terminating)
        await watched.wait_for()


async def test_pods_alone_are_watched_by_their_labels(api_server: ApiServer, access: Access) -> None:
    api_server.kinds = {PODS}
    api_server.apply(PODS, pod("a", "10.0.0.1"))
    selection = PodSelection(NAMESPACE, Pool(LabelSelector.of(LABELS), (8000, 8001)))
    async with watching(KubernetesSource(selection, access)) as watched:
        await watched.wait_for(A, "10.0.0.1:8001")
        api_server.delete(PODS, NAMESPACE, "a")
        await watched.wait_for()
    assert not any("inferencepools" in asked for asked, _ in api_server.requests)


async def test_nothing_is_said_until_pool_and_pods_were_read(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    api_server.refusals.forbidden = {("pods", "list")}
    async with watching(source) as watched:
        await until(
            lambda: said(caplog, "pods", "give the service account get, list and watch on pods in namespace prod")
        )
        assert watched.sets == []
        api_server.refusals.forbidden.clear()
        await watched.wait_for(A, B)


async def test_a_pool_without_pods_is_known_to_be_empty(api_server: ApiServer, source: KubernetesSource) -> None:
    api_server.apply(POOLS, pool())
    async with watching(source) as watched:
        await watched.wait_for()


async def test_a_deleted_pool_has_no_endpoints_until_it_is_back(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        api_server.delete(POOLS, NAMESPACE, "llama")
        await watched.wait_for()
        assert said(caplog, "InferencePool prod/llama: there is none")
        api_server.apply(POOLS, pool("another"))
        api_server.apply(POOLS, pool())
        await watched.wait_for(A, B)


async def test_a_pool_that_selects_others_keeps_its_endpoints_until_they_are_known(
    api_server: ApiServer, source: KubernetesSource
) -> None:
    fill(api_server)
    api_server.apply(PODS, pod("c", "10.0.0.3", labels={"app": "new"}))
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        api_server.apply(POOLS, pool(labels={"app": "new"}, ports=(8000, 8001)))
        await watched.wait_for(C, "10.0.0.3:8001")
        assert [len(specs) for specs in watched.sets] == [2, 2], "no set in between"
        api_server.apply(POOLS, pool(labels={"app": "new"}, ports=(9000,)))
        await watched.wait_for("10.0.0.3:9000")


@pytest.mark.parametrize("as_status", [False, True], ids=["an event", "a status"])
async def test_410_gone_leads_to_another_list(api_server: ApiServer, source: KubernetesSource, as_status: bool) -> None:
    fill(api_server)
    api_server.refusals.gone_as_status = as_status
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        await api_server.kill()
        api_server.delete(PODS, NAMESPACE, "a")
        api_server.compact()
        await api_server.start()
        await watched.wait_for(B)


async def test_a_connection_that_breaks_is_taken_up_where_it_was(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        for address in ("10.0.0.3", "10.0.0.4"):
            api_server.disconnect()
            await until(lambda: api_server.watching == 0)
            api_server.apply(PODS, pod("c", address))
            await watched.wait_for(A, B, f"{address}:8000")
            await settled(api_server)
    assert [asked for asked, _ in api_server.requests if asked.startswith("list")] == [
        "list inferencepools",
        "list pods",
    ]
    assert said(caplog, "the API server") == []


async def test_bookmarks_move_the_place_on_from_which_a_watch_is_taken_up(
    api_server: ApiServer, source: KubernetesSource
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        for n in range(5):
            api_server.apply(PODS, pod("other", f"10.0.1.{n}", labels={"app": "other"}))
        api_server.send_bookmarks()
        api_server.apply(PODS, pod("c", "10.0.0.3"))  # comes after the bookmark
        await watched.wait_for(A, B, C)
        api_server.compact()
        api_server.disconnect()
        await until(lambda: api_server.watching == 0)
        await settled(api_server)
    versions = [int(query["resourceVersion"]) for asked, query in api_server.requests if asked == "watch pods"]
    assert versions[-1] == versions[0] + 6


async def test_while_the_server_is_away_the_last_known_endpoints_stay(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        await api_server.kill()
        api_server.apply(PODS, pod("c", "10.0.0.3"))
        await until(lambda: len(said(caplog, "cannot be reached")) == 2)
        await asyncio.sleep(2)  # several tries later
        assert watched.addresses == [A, B]
        assert len(said(caplog, "cannot be reached", "the last known endpoints stay")) == 2, (
            "once for pools, once for pods"
        )
        await api_server.start()
        await watched.wait_for(A, B, C)
        await until(lambda: len(said(caplog, "watched again")) == 2)


async def test_a_server_that_is_away_at_first_is_waited_for(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    await api_server.kill()
    async with watching(source) as watched:
        await until(lambda: said(caplog, "cannot be reached", "no endpoints are known yet"))
        await api_server.start()
        await watched.wait_for(A, B)


async def test_a_definition_that_is_missing_is_waited_for(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture
) -> None:
    fill(api_server)
    api_server.kinds = {PODS}
    async with watching(source) as watched:
        await until(lambda: said(caplog, "install the custom resource definition of inferencepools.inference"))
        api_server.install(POOLS)
        await watched.wait_for(A, B)
        assert watched.sets[0], "no empty set while the pool is not known"


@pytest.mark.parametrize("plural", ["pods", "inferencepools"])
async def test_a_permission_that_is_taken_away_leaves_what_was_known(
    api_server: ApiServer, source: KubernetesSource, caplog: pytest.LogCaptureFixture, plural: str
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        api_server.refusals.forbidden = {(plural, verb) for verb in ("list", "watch")}
        api_server.disconnect()
        await until(lambda: said(caplog, plural, "does not allow it", "the last known endpoints stay"))
        await asyncio.sleep(2)  # several tries later
        assert watched.addresses == [A, B]
        assert len(said(caplog, "does not allow it")) == 1
        api_server.apply(PODS, pod("c", "10.0.0.3"))
        api_server.refusals.forbidden.clear()
        await watched.wait_for(A, B, C)
        await until(lambda: said(caplog, plural, "watched again"))


async def test_where_only_watching_is_forbidden_lists_bring_what_is_new(
    api_server: ApiServer, source: KubernetesSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reflector_module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(reflector_module, "FIRST_WAIT_S", 0.01)
    fill(api_server)
    api_server.refusals.forbidden = {("pods", "watch")}
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        api_server.apply(PODS, pod("c", "10.0.0.3"))
        await watched.wait_for(A, B, C)
    assert len(said(caplog, "does not allow it")) == 1


async def test_a_wrong_token_is_told_and_another_one_taken(
    api_server: ApiServer, caplog: pytest.LogCaptureFixture, tmp_path
) -> None:
    fill(api_server)
    token = tmp_path / "token"
    token.write_text("stale\n")
    access = Access(api_server.url, user=User(token_file=token), source="the test")
    async with watching(KubernetesSource(REFERENCE, access)) as watched:
        await until(lambda: said(caplog, "does not accept our credentials"))
        token.write_text(api_server.token + "\n")
        await watched.wait_for(A, B)
        token.write_text("rotated\n")
        api_server.token = "rotated"
        api_server.disconnect()
        api_server.apply(PODS, pod("c", "10.0.0.3"))
        await watched.wait_for(A, B, C)


async def test_lists_come_in_pages_of_one_state(
    api_server: ApiServer, source: KubernetesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector_module, "PAGE_OBJECTS", 7)
    api_server.apply(POOLS, pool())
    for n in range(50):
        api_server.apply(PODS, pod(f"p{n}", f"10.0.1.{n}"))
    async with watching(source) as watched:
        await watched.wait_for(*(f"10.0.1.{n}:8000" for n in range(50)))
    assert len([1 for asked, _ in api_server.requests if asked == "list pods"]) == 8


async def test_overload_and_faults_of_the_server_are_waited_out(
    api_server: ApiServer, source: KubernetesSource
) -> None:
    fill(api_server)
    api_server.refusals.overloaded, api_server.refusals.broken = 1, 2
    async with watching(source) as watched:
        await watched.wait_for(A, B)


async def test_events_may_come_in_any_pieces(api_server: ApiServer, source: KubernetesSource) -> None:
    fill(api_server)
    api_server.piece_bytes = 1000
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        for n in range(20):
            api_server.apply(PODS, pod("c", f"10.0.2.{n}"))
        await watched.wait_for(A, B, "10.0.2.19:8000")


async def test_a_source_can_run_again(api_server: ApiServer, source: KubernetesSource) -> None:
    fill(api_server)
    for _ in range(2):
        async with watching(source) as watched:
            await watched.wait_for(A, B)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_endpoints_are_those_of_the_server_in_the_end(
    api_server: ApiServer, source: KubernetesSource, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    fill(api_server)
    addresses: dict[str, str] = {"a": "10.0.0.1", "b": "10.0.0.2"}

    def change(number: int) -> None:
        name = f"p{chance.integers(8)}"
        if name in addresses and chance.random() < 0.4:
            del addresses[name]
            api_server.delete(PODS, NAMESPACE, name)
        else:
            addresses[name] = f"10.{seed}.1.{number}"
            api_server.apply(PODS, pod(name, addresses[name]))

    async def restart() -> None:
        await api_server.kill()
        await asyncio.sleep(0.2)
        await api_server.start()

    async with watching(source) as watched:
        await watched.wait_for(A, B)
        for number in range(60):
            change(number)
            match chance.integers(12):
                case 0:
                    api_server.disconnect()
                case 1:
                    api_server.compact()
                case 2:
                    api_server.refusals.broken = 1
                case 3:
                    api_server.send_bookmarks()
                case 4 if number % 3 == 0:
                    await restart()
                case _:
                    await asyncio.sleep(0.02)
        await watched.wait_for(*(f"{address}:8000" for address in addresses.values()))


async def test_changes_that_come_together_are_published_together(
    api_server: ApiServer, source: KubernetesSource
) -> None:
    fill(api_server)
    async with watching(source) as watched:
        await watched.wait_for(A, B)
        await settled(api_server)
        before = len(watched.sets)
        for n in range(200):
            api_server.apply(PODS, pod(f"p{n}", f"10.0.3.{n}"))
        await until(lambda: len(watched.addresses or ()) == 202)
        assert len(watched.sets) - before < 20

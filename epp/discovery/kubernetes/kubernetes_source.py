# ruff: noqa: TID251 - an edge: runs tasks, and finds the access in environment and files
"""The source of endpoints that watches an InferencePool and its pods, or pods alone."""

from __future__ import annotations

import asyncio
import logging
import os

import numpy as np

from epp.discovery.combined_source import run_together
from epp.discovery.kubernetes.access import Access
from epp.discovery.kubernetes.api_client import ApiClient
from epp.discovery.kubernetes.credentials import find_access
from epp.discovery.kubernetes.following import follow
from epp.discovery.kubernetes.labels import LabelSelector
from epp.discovery.kubernetes.members import Members, PoolReference, Watched
from epp.discovery.kubernetes.pods import Pod, read_pod
from epp.discovery.kubernetes.pools import Pool, UnusablePool, read_pool
from epp.discovery.kubernetes.reflector import Reflector
from epp.discovery.kubernetes.resources import pods_of, pool_of
from epp.discovery.source import ChangesOnly, Publish

__all__ = ["KubernetesSource"]

_LOG = logging.getLogger(__name__)

COALESCE_S = 0.1
"""Changes that come within this time are published together; the first of them at once."""


class KubernetesSource:
    """Endpoints that the pods of an InferencePool are, or pods that have some labels."""

    def __init__(self, watched: Watched, access: Access | None = None, rng: np.random.Generator | None = None) -> None:
        """`access`: None for what the environment says, see `find_access`."""
        self._watched = watched
        self._access = access
        self._rng = rng or np.random.default_rng()

    async def run(self, publish: Publish) -> None:
        """Publishes until cancelled, see `Source`. Raises AccessError when it is not known how to reach the server."""
        access = self._access
        if access is None:
            access = await asyncio.to_thread(find_access, os.environ)
        _LOG.info("watching %s at %s", self._watched, access.server)
        async with ApiClient(access) as api:
            await _Run(self._watched, api, self._rng, publish).run()

    def __repr__(self) -> str:
        return f"<KubernetesSource {self._watched}>"


class _Run:
    """One run of a source."""

    def __init__(self, watched: Watched, api: ApiClient, rng: np.random.Generator, publish: Publish) -> None:
        self._watched = watched
        self._api = api
        self._rng = rng
        self._publish = ChangesOnly(publish)
        self._members = Members(watched)
        self._changed = asyncio.Event()
        self._reselect = asyncio.Event()
        self._selector: LabelSelector | None = None
        self._pods: Reflector[Pod] = Reflector(read_pod, rng)
        self._told = ""
        self._dropped = 0

    async def run(self) -> None:
        """Until cancelled."""
        jobs = [self._follow_pods(), self._publish_changes()]
        if isinstance(self._watched, PoolReference):
            jobs.append(self._follow_pool(self._watched))
        await run_together(*jobs)

    async def _follow_pool(self, reference: PoolReference) -> None:
        pools: Reflector[Pool | UnusablePool] = Reflector(read_pool, self._rng)

        def changed() -> None:
            found = pools.objects.get(reference.name)
            self._tell(reference, found)
            self._members.take_pool(found)
            if self._members.selector != self._selector:
                self._reselect.set()
            self._changed.set()

        await follow(self._api, pool_of(reference), pools, changed)

    async def _follow_pods(self) -> None:
        """Watches the pods of one selector after the other."""
        while True:
            self._reselect.clear()
            self._selector = selector = self._members.selector
            self._pods = Reflector(read_pod, self._rng)
            if selector is None:
                await self._reselect.wait()
                continue
            resource = pods_of(self._watched.namespace, selector)
            following = asyncio.ensure_future(follow(self._api, resource, self._pods, self._changed.set))
            waiting = asyncio.ensure_future(self._reselect.wait())
            try:
                await asyncio.wait((following, waiting), return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                following.cancel()
                waiting.cancel()
                await asyncio.gather(following, waiting, return_exceptions=True)

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            known = self._pods.synced and self._selector == self._members.selector
            endpoints = self._members.endpoints(self._pods.objects if known else None)
            if endpoints is not None:
                self._publish(endpoints)
                self._tell_dropped()
            await asyncio.sleep(COALESCE_S)

    def _tell(self, reference: PoolReference, found: Pool | UnusablePool | None) -> None:
        """Each state of the pool once."""
        match found:
            case None:
                text = f"{reference}: there is none; no endpoints until it is created"
            case UnusablePool(why):
                text = f"{reference}: cannot be served: {why}; what was known of it stays"
            case Pool():
                text = ""
        if text and text != self._told:
            _LOG.warning("%s", text)
        elif self._told and not text:
            _LOG.info("%s: found", reference)
        self._told = text

    def _tell_dropped(self) -> None:
        if self._members.dropped and not self._dropped:
            text = "%s: %d endpoints left out: a second pod at the same address, or more than can be served"
            _LOG.warning(text, self._watched, self._members.dropped)
        self._dropped = self._members.dropped

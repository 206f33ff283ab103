"""Starting, watching and stopping a real Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from epp.envoy import (
    EnvoyError,
    EnvoyProcess,
    EnvoySettings,
    LaunchSettings,
    RestartPolicy,
    Routing,
    as_json,
    as_yaml,
    build_bootstrap,
)

pytestmark = pytest.mark.envoy

SETTINGS = EnvoySettings(routing=Routing.OVERRIDE_HOST, endpoints=("127.0.0.1:9",), listener_port=0, admin_port=0)

CONFIG = as_yaml(build_bootstrap(SETTINGS))

LAUNCH = LaunchSettings(ready_timeout_s=60)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def quiet(_line: str) -> None:
    """Takes the log of an Envoy that is meant to fail."""


async def test_it_serves_when_start_returns_and_is_gone_after_close(client: ClientSession) -> None:
    envoy = EnvoyProcess(CONFIG, LAUNCH)
    await envoy.start()
    pid = envoy.pid
    assert pid is not None
    assert repr(envoy) == f"<EnvoyProcess pid {pid} on {envoy.listener_address}, 0 restarts>"
    async with client.get(f"http://{envoy.listener_address}/") as reply:
        assert reply.status == 500, "the picker is not there"
    async with client.get(f"http://{envoy.admin_address}/ready") as reply:
        assert reply.status == 200
    await envoy.close()
    await envoy.close()
    await envoy.wait()
    assert not is_running(pid)
    assert repr(envoy) == "<EnvoyProcess stopped, 0 restarts>"


async def test_two_run_side_by_side() -> None:
    async with EnvoyProcess(CONFIG, LAUNCH) as one, EnvoyProcess(as_json(build_bootstrap(SETTINGS)), LAUNCH) as other:
        assert one.listener_address != other.listener_address


async def test_it_is_out_of_reach_of_the_terminals_interrupt() -> None:
    async with EnvoyProcess(CONFIG, LAUNCH) as envoy:
        assert envoy.pid is not None
        assert os.getsid(envoy.pid) == os.getpgid(envoy.pid) == envoy.pid


BROKEN = {
    "no YAML": ("{", "yaml"),
    "an unknown field": ("listeners: []", "listeners"),
    "a value that Envoy refuses": (
        as_yaml(build_bootstrap(SETTINGS)).replace("stat_prefix: epp", "stat_prefix: ''"),
        "StatPrefix",
    ),
    "no admin port": ("static_resources: {}", "was not ready within 0.5 s"),
}


@pytest.mark.parametrize(("config", "said"), BROKEN.values(), ids=BROKEN)
async def test_a_configuration_that_does_not_start_is_reported_in_envoys_words(config: str, said: str) -> None:
    envoy = EnvoyProcess(config, LaunchSettings(ready_timeout_s=0.5 if "0.5" in said else 60), log=quiet)
    with pytest.raises(EnvoyError, match=f"(?s)^Envoy .*(?i:{said})"):
        await envoy.start()
    await envoy.close()
    assert envoy.pid is None


async def test_a_port_in_use_is_reported_and_not_shared() -> None:
    async with EnvoyProcess(CONFIG, LAUNCH) as envoy:
        port = int(envoy.listener_address.rpartition(":")[2])
        second = EnvoyProcess(as_yaml(build_bootstrap(replace(SETTINGS, listener_port=port))), LAUNCH, log=quiet)
        with pytest.raises(EnvoyError, match=f"{envoy.listener_address}.*Address already in use"):
            await second.start()


async def test_an_end_of_its_own_is_told_to_whoever_waits() -> None:
    async with EnvoyProcess(CONFIG, LAUNCH, log=quiet) as envoy:
        assert envoy.pid is not None
        os.kill(envoy.pid, signal.SIGKILL)
        with pytest.raises(EnvoyError, match="Envoy was ended by signal 9 while it served"):
            await envoy.wait()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - about another process, which sets no event
            await asyncio.sleep(0.01)


async def test_a_crash_is_followed_by_a_new_start_when_asked(client: ClientSession) -> None:
    async with EnvoyProcess(CONFIG, LAUNCH, restart=RestartPolicy(first_delay_s=0.01), log=quiet) as envoy:
        first = envoy.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: envoy.restarts)
        assert envoy.pid not in {None, first}
        async with client.get(f"http://{envoy.listener_address}/") as reply:
            assert reply.status == 500


async def test_closing_does_not_wait_for_the_next_start() -> None:
    async with EnvoyProcess(CONFIG, LAUNCH, restart=RestartPolicy(first_delay_s=3600, max_delay_s=3600)) as envoy:
        assert envoy.pid is not None
        os.kill(envoy.pid, signal.SIGKILL)
        await until(lambda: envoy.pid is None)
    assert envoy.restarts == 0


async def test_a_start_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    deaf = tmp_path / "envoy"
    deaf.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
    deaf.chmod(0o755)
    envoy = EnvoyProcess(CONFIG, LAUNCH, envoy=deaf)
    starting = asyncio.create_task(envoy.start())
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_what_does_not_end_when_asked_is_killed() -> None:
    async with EnvoyProcess(CONFIG, replace(LAUNCH, stop_grace_s=0.2)) as envoy:
        pid = envoy.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # a stopped process takes no SIGTERM
    assert not is_running(pid)


def contents(temporary: Path) -> dict[str, tuple[int, str]]:
    """Mode of the folder and text of each configuration below."""
    return {
        file.name: (file.parent.stat().st_mode & 0o777, file.read_text()) for file in temporary.glob("*/envoy.yaml")
    }


async def test_its_files_are_private_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with EnvoyProcess(CONFIG, LAUNCH):
        assert contents(tmp_path) == {"envoy.yaml": (0o700, CONFIG)}
    assert contents(tmp_path) == {}

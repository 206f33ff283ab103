"""A picker from start to stop."""

import asyncio
import io
import time
from pathlib import Path

import grpc
import pytest

from epp.config import load
from epp.discovery import Publish, TargetSource
from epp.process import PickerProcess, StartError, background, reloading
from epp.process import picker as picker_module
from tests.process.picking import (
    NOWHERE,
    SERVING,
    Picker,
    destination,
    flags_of,
    logging_to,
    running_picker,
    until,
)

BODY = b'{"model": "m", "prompt": "hello"}'


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSE_S", 0.01)
    monkeypatch.setattr(reloading, "LOOK_S", 0.02)


def write(path: Path, section: str = "", plugins: str = "") -> Path:
    path.write_text(f"apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{plugins}epp: {{{section}}}\n")
    return path


async def ready(picker: Picker) -> None:
    async with asyncio.timeout(30):
        await picker.process.wait_ready()
    await until(lambda: picker.said("ready"))


# start


async def test_it_is_alive_at_once_and_ready_when_endpoints_are_known(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text("endpoints:\n- {name: a, address: 127.0.0.1, port: 1}\n")
    async with running_picker(endpoints=(), endpoints_file=str(file)) as picker:
        assert await picker.health("liveness") == SERVING
        assert await picker.page("/healthz") == "ok\n"
        await ready(picker)
        assert await picker.readiness() == {True}
        assert await picker.pick() == "127.0.0.1:1"
    [said] = picker.said("serving")
    assert (said["extproc_port"], said["metrics_port"], said["tls"], said["transport"]) == (
        picker.ports.extproc,
        picker.ports.http,
        False,
        "grpcio",
    )


async def test_it_is_not_ready_while_endpoints_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, run = asyncio.Event(), TargetSource.run

    async def late(self: TargetSource, publish: Publish) -> None:
        await found.wait()
        await run(self, publish)

    monkeypatch.setattr(TargetSource, "run", late)
    async with running_picker() as picker:
        assert await picker.readiness() == {False}
        assert await picker.health("liveness") == SERVING
        assert not await picker.pick(), "who asks all the same is told that there is no endpoint"
        found.set()
        await ready(picker)
        assert await picker.readiness() == {True}


@pytest.mark.parametrize("others", [(), NOWHERE], ids=["alone", "with others"])
async def test_a_missing_endpoints_file_ends_it_with_its_name(tmp_path: Path, others: tuple[str, ...]) -> None:
    missing = tmp_path / "none.yaml"
    async with running_picker(endpoints=others, endpoints_file=str(missing)) as picker:
        with pytest.raises(StartError, match=f"{missing}: cannot be read"):
            await picker.process.run(asyncio.Event())
        assert await picker.readiness() == {False}


async def test_run_ends_when_it_is_told_to() -> None:
    stop = asyncio.Event()
    async with running_picker() as picker:
        running = asyncio.create_task(picker.process.run(stop))
        await ready(picker)
        assert not running.done()
        stop.set()
        async with asyncio.timeout(10):
            await running


async def test_many_endpoints_are_taken() -> None:
    many = tuple(f"127.0.{number // 100}.{1 + number % 100}:1" for number in range(300))
    async with running_picker(endpoints=many) as picker:
        await ready(picker)
        assert picker.addresses() == set(many)
        assert await picker.pick() in many


# reload


async def reloaded(picker: Picker) -> None:
    """Waits for the next configuration that is taken."""
    before = len(picker.said("configuration taken"))
    await until(lambda: len(picker.said("configuration taken")) > before)


async def test_a_changed_file_takes_effect(tmp_path: Path) -> None:
    config = write(tmp_path / "epp.yaml")
    async with running_picker(config) as picker:
        await ready(picker)
        process = picker.process
        write(
            config,
            "models: {rewrites: [{models: [m], targets: [{model: n}]}]}, exchange: {maxBodyBytes: 10KiB},"
            "scraping: {interval: 5s}, logging: {verbosity: 4}, overload: {maxLag: 3s, maxBusy: 0.5}",
            "plugins: [{type: queue-scorer}]\n"
            "schedulingProfiles: [{name: mine, plugins: [{pluginRef: queue-scorer}]}]\n",
        )
        await reloaded(picker)
        assert process.router.profile.name == "mine"
        assert process.service.settings.max_body_bytes == 10 * 1024
        assert process._logs.level.name == "DEBUG"
        assert process._observing.lag.limit_s == 3.0
        assert process._observing.lag.busy_limit == 0.5
        assert process._feeds is not None
        assert process._feeds._scraping.interval_s == 5.0
        assert process._feeds.statistics().keys() == set(NOWHERE)
        proxy = picker.proxy()
        answer = await proxy.ask(BODY)
        names = [each.header.key for each in answer.request_headers.response.header_mutation.set_headers]
        assert b"x-gateway-destination-endpoint" in names
        assert b'"n"' in (await proxy._read()).request_body.response.body_mutation.streamed_response.body
        proxy.reset()
        assert await picker.metric("epp_config_last_reload_successful") == 1
        assert "name: mine" in await picker.page("/config")


async def test_a_bad_file_changes_nothing_and_is_told_everywhere(tmp_path: Path) -> None:
    config = write(tmp_path / "epp.yaml")
    async with running_picker(config) as picker:
        await ready(picker)
        write(config, "logging: {verbositty: 4}, models: {rejectMissing: true}")
        await until(lambda: picker.said("configuration refused"))
        [refused] = picker.said("configuration refused")
        assert "epp.logging: unknown key 'verbositty'; did you mean 'verbosity'?" in refused["problems"][0]
        assert await picker.metric("epp_config_last_reload_successful") == 0
        assert "verbositty" in (await picker.page("/config")).partition("\n\n")[0]
        assert await picker.pick(b'{"prompt": "hello"}'), "the old configuration routes requests without a model"
        write(config, "models: {rejectMissing: true}")
        await reloaded(picker)
        assert await picker.metric("epp_config_last_reload_successful") == 1
        assert not await picker.pick(b'{"prompt": "hello"}')


REFUSED_LATE = {
    "what scraping needs": "models: {rejectMissing: true}, scraping: {scheme: https, tls: {caFile: /nonexistent}}",
    "endpoints": "models: {rejectMissing: true}, endpoints: {static: ['127.0.0.1:9'], file: {path: /nonexistent}}",
}


@pytest.mark.parametrize("section", REFUSED_LATE.values(), ids=REFUSED_LATE)
async def test_what_is_found_unusable_late_changes_nothing(section: str, tmp_path: Path) -> None:
    config = write(tmp_path / "epp.yaml")
    async with running_picker(config) as picker:
        await ready(picker)
        write(config, section)
        await until(lambda: picker.said("configuration refused"))
        assert "/nonexistent" in str(picker.said("configuration refused")[0]["problems"])
        assert await picker.pick(b'{"prompt": "hello"}')
        assert picker.addresses() == set(NOWHERE)


async def test_what_needs_a_restart_is_kept_and_told(tmp_path: Path) -> None:
    config = write(tmp_path / "epp.yaml", "decisions: {kept: 7}")
    async with running_picker(config) as picker:
        await ready(picker)
        write(config, "decisions: {kept: 8}, models: {rejectMissing: true}")
        await reloaded(picker)
        assert picker.said(f"{config}:3:25: epp.decisions.kept: 8 takes effect at the next start; until then 7 is kept")
        assert picker.process.router.settings.kept_decisions == 7
        assert not await picker.pick(b'{"prompt": "hello"}'), "the rest is taken"


async def test_endpoints_in_the_file_are_exchanged(tmp_path: Path) -> None:
    config = write(tmp_path / "epp.yaml", "endpoints: {static: ['127.0.0.1:1']}")
    async with running_picker(config, endpoints=()) as picker:
        await ready(picker)
        write(config, "endpoints: {static: ['127.0.0.1:1', '127.0.0.1:2']}")
        await until(lambda: picker.addresses() == {"127.0.0.1:1", "127.0.0.1:2"})


async def test_a_plugin_keeps_its_state_when_other_parts_change(tmp_path: Path) -> None:
    profile = """\
plugins: [{type: session-affinity-scorer}, {type: queue-scorer}]
schedulingProfiles:
- name: default
  plugins: [{pluginRef: session-affinity-scorer, weight: WEIGHT}, {pluginRef: queue-scorer}]
"""
    config = write(tmp_path / "epp.yaml", plugins=profile.replace("WEIGHT", "2"))
    async with running_picker(config) as picker:
        await ready(picker)
        before = {slot.name: slot.plugin for slot in picker.process.router.profile.slots()}
        write(config, plugins=profile.replace("WEIGHT", "3"))
        await reloaded(picker)
        profile_now = picker.process.router.profile
        after = {slot.name: slot.plugin for slot in profile_now.slots()}
        assert [use.weight for use in profile_now.scorers] == [3.0, 1.0]
        assert after["session-affinity-scorer"] is before["session-affinity-scorer"]


# drain


async def test_draining_turns_away_and_lets_streams_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker_module, "TURN_AWAY_S", 3.0)
    async with running_picker(drain_timeout="60s") as picker:
        await ready(picker)
        open_stream = picker.proxy()
        assert destination(await open_stream.ask(BODY))
        draining = asyncio.create_task(picker.process.drain(patient=True))
        await until(lambda: picker.process._grpc is not None and not picker.process._grpc.health.ready)
        assert await picker.readiness() == {False}
        assert await picker.health("liveness") == SERVING
        assert await picker.pick(), "gateways have not turned away yet"
        await open_stream.reply()
        assert await open_stream.ended() is grpc.StatusCode.OK
        async with asyncio.timeout(30):
            await draining
        with pytest.raises(grpc.aio.AioRpcError):
            await picker.pick()


async def test_streams_that_do_not_end_are_cut_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker_module, "TURN_AWAY_S", 0.1)
    async with running_picker(drain_timeout="1s") as picker:
        await ready(picker)
        stuck = picker.proxy()
        assert destination(await stuck.ask(BODY))
        began = time.monotonic()
        async with asyncio.timeout(30):
            await picker.process.drain(patient=True)
        assert time.monotonic() - began >= 0.9
        await until(lambda: picker.process.router.in_flight == 0)
        assert await stuck.ended() is not grpc.StatusCode.OK


async def test_without_patience_it_waits_only_while_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker_module, "TURN_AWAY_S", 60.0)
    monkeypatch.setattr(picker_module, "QUIET_S", 0.1)
    async with running_picker(drain_timeout="120s") as picker:
        await ready(picker)
        first, second = picker.proxy(), picker.proxy()
        assert destination(await first.ask(BODY))
        draining = asyncio.create_task(picker.process.drain(patient=False))
        await until(lambda: picker.said("draining"))
        assert destination(await second.ask(BODY)), "who still asks is served"
        first.reset()
        await until(lambda: picker.process.service.open_streams == 1)
        await asyncio.sleep(0.3)
        assert not draining.done()
        second.reset()
        async with asyncio.timeout(30):
            await draining


async def test_it_does_not_become_ready_again_while_it_drains() -> None:
    async with running_picker(drain_timeout="0.2s") as picker:
        await picker.process.drain(patient=True)
        assert await picker.readiness() == {False}


# what goes wrong while it runs


async def test_under_overload_picks_are_cheap_and_closed_and_it_recovers() -> None:
    async with running_picker() as picker:
        await ready(picker)
        lag = picker.process._observing.lag
        await until(lambda: lag._woke_at is not None)
        await asyncio.sleep(0.11)
        time.sleep(1.5)  # noqa: ASYNC251 - this is the overload
        await until(lag.overloaded)
        await until(lambda: picker.said("overloaded: new requests are placed by load alone"))
        await picker.process._background.end("lag of the event loop")  # it stays as it is, however long the test takes
        hurried = picker.proxy()
        assert destination(await hurried.ask(BODY)) in NOWHERE
        assert await hurried.ended() is grpc.StatusCode.OK, "closed after the request phase"
        decision = picker.process.router.decisions[-1].decision
        assert "overloaded" in decision.trace.note
        picker.process._background.keep("lag of the event loop", picker.process._watch_lag)
        await until(lambda: not lag.overloaded())
        calm = picker.proxy()
        assert destination(await calm.ask(BODY))
        await calm.reply()
        assert not picker.process.router.decisions[-1].decision.trace.note


TASKS = ["service.tick_forever", "_watch_lag", "configuration.watch"]


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_that_fails_is_told_and_started_again(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 0
    config = write(tmp_path / "epp.yaml")
    flags = flags_of(endpoint=NOWHERE, config_file=str(config))
    stream = io.StringIO()
    logs = logging_to(stream)
    process = PickerProcess(load(flags, {}), flags, logs)
    *path, name = task.split(".")
    owner = getattr(process, path[0]) if path else process

    async def fails_once() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("broken")
        await asyncio.Event().wait()

    monkeypatch.setattr(type(owner), name, lambda _: fails_once())
    try:
        await process.start()
        await until(lambda: runs == 2)
        assert "a background task failed and is started again" in stream.getvalue()
        assert "broken" in stream.getvalue()
    finally:
        await process.stop()
        logs.stop()

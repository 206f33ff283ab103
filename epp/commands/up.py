# ruff: noqa: TID251 - this file is an edge: it runs two servers side by side
"""`epp up`: an Envoy and the picker in front of model servers, in one process group."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from epp.commands.running import fail, loaded_or_exit, run_until_stopped
from epp.config import Loaded
from epp.config.flag_table import FlagValues
from epp.discovery import parse_target
from epp.endpoints import split_address
from epp.process import PickerProcess, StartError
from epp.process.picker import log_problems
from epp.telemetry.logs import LogControl, start_logging

if TYPE_CHECKING:
    from epp.envoy import EnvoySettings

__all__ = ["up"]

log = logging.getLogger("epp")

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line asks of Envoy."""

    listen: str
    routing: str
    replies: str
    fail_open: bool
    admin_port: int
    access_log: str
    endpoints: tuple[str, ...]


@click.command(context_settings={"show_default": True})
@click.argument("endpoints", nargs=-1, metavar="HOST:PORT...")
@click.option("--listen", default="127.0.0.1:8080", metavar="IP:PORT", help="Where clients connect.")
@click.option("--config-file", type=click.Path(dir_okay=False), help="EndpointPickerConfig; may name endpoints, too.")
@click.option(
    "--routing",
    type=click.Choice(["original-destination", "override-host"]),
    default="original-destination",
    help="How Envoy is told: any address, or one of a list that Envoy knows (with retries and fail-open).",
)
@click.option(
    "--replies",
    type=click.Choice(["full", "lean", "none"]),
    default="full",
    help="What the picker sees of replies: all (learns most), headers only (costs least per token), nothing.",
)
@click.option("--fail-open", is_flag=True, help="Without the picker, spread requests (needs --routing override-host).")
@click.option("--grpc-port", type=int, default=9002, help="The picker's port, on loopback.")
@click.option("--health-port", type=int, default=9003, help="Its health port.")
@click.option("--metrics-port", type=int, default=9090, help="Its metrics and debug port.")
@click.option("--admin-port", type=int, default=9901, help="Envoy's admin port.")
@click.option("--access-log", default="", help="File for Envoy's access log; /dev/stdout works.")
@click.option("-v", "--verbosity", type=int, default=2, help="2 information, 4 debug.")
@click.option("--print", "only_print", is_flag=True, help="Print Envoy's configuration, and start nothing.")
def up(
    *,
    endpoints: tuple[str, ...],
    listen: str,
    config_file: str | None,
    routing: str,
    replies: str,
    fail_open: bool,
    grpc_port: int,
    health_port: int,
    metrics_port: int,
    admin_port: int,
    access_log: str,
    verbosity: int,
    only_print: bool,
) -> None:
    """Run an Envoy and the picker in front of model servers.

    HOST:PORT name the servers (vLLM, SGLang, ...). Ctrl-C ends both.
    """
    wanted = _Wanted(listen, routing, replies, fail_open, admin_port, access_log, endpoints)
    settings = _envoy_settings(wanted, grpc_port)
    if only_print:
        from epp.envoy import as_yaml, build_bootstrap, notes  # noqa: PLC0415 - the extra `envoy`, slow to import

        click.echo(as_yaml(build_bootstrap(settings), notes(settings)), nl=False)
        return
    flags: dict[str, str | tuple[str, ...]] = {
        "secure-serving": "false",
        "bind": LOOPBACK,
        "grpc-port": str(grpc_port),
        "grpc-health-port": str(health_port),
        "metrics-port": str(metrics_port),
        "v": str(verbosity),
    }
    if endpoints:
        flags["endpoint"] = endpoints
    if config_file:
        flags["config-file"] = config_file
    _run(flags, settings)


def _envoy_settings(wanted: _Wanted, picker_port: int) -> EnvoySettings:
    try:
        from epp.envoy import EnvoySettings, Observation, Routing  # noqa: PLC0415 - the extra `envoy`
    except ImportError as error:
        raise fail(str(error)) from None
    try:
        host, port = split_address(wanted.listen)
        if port is None:
            raise ValueError(f"--listen {wanted.listen} has no port")
        routing = Routing(wanted.routing)
        return EnvoySettings(
            routing=routing,
            observation=Observation(wanted.replies),
            listener_address=host,
            listener_port=port,
            admin_address=LOOPBACK,
            admin_port=wanted.admin_port,
            picker_address=LOOPBACK,
            picker_port=picker_port,
            picker_tls=None,
            endpoints=_known(wanted.endpoints) if routing is Routing.OVERRIDE_HOST else (),
            fail_open=wanted.fail_open,
            access_log=wanted.access_log,
        )
    except ValueError as error:
        raise fail(str(error), 2) from None


def _known(endpoints: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses for an Envoy that must know them. Raises ValueError for names, whose addresses may change."""
    for text in endpoints:
        parse_target(text)
        try:
            split_address(text)
        except ValueError:
            raise ValueError(f"--routing override-host needs IP addresses, and {text} is a name") from None
    return endpoints


def _run(flags: FlagValues, settings: EnvoySettings) -> None:
    loaded = loaded_or_exit(flags)
    logs = start_logging(loaded.settings.logging, sys.stderr)
    try:
        log_problems(loaded.warnings, logging.WARNING)
        run_until_stopped(lambda stop: _serve(loaded, flags, logs, settings, stop))
    finally:
        logs.stop()


async def _serve(
    loaded: Loaded, flags: FlagValues, logs: LogControl, settings: EnvoySettings, stop: asyncio.Event
) -> None:
    from epp.envoy import EnvoyError, EnvoyProcess, RestartPolicy, as_yaml, build_bootstrap  # noqa: PLC0415 - likewise

    picker = PickerProcess(loaded, flags, logs)
    await picker.start()
    try:
        config = as_yaml(build_bootstrap(settings))
        async with EnvoyProcess(config, restart=RestartPolicy()) as envoy:
            log.info("up", extra={"clients": f"http://{envoy.listener_address}", "envoy": envoy.admin_address})
            await _serve_both(picker, envoy.wait(), stop)
    except EnvoyError as error:
        raise StartError(str(error)) from None
    finally:
        await picker.stop()


async def _serve_both(picker: PickerProcess, envoy_ends: object, stop: asyncio.Event) -> None:
    """Until either ends or the user stops both. Envoy goes first, so nothing is left to drain."""
    tasks = [asyncio.ensure_future(envoy_ends), asyncio.create_task(picker.run(stop, drain=False))]  # type: ignore[call-overload]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

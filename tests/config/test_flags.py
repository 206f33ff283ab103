from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from epp.config.flag_table import FLAGS
from epp.config.flags import PickerCommand, flag_options, given_flags, normalised

FORMS: dict[str, list[str]] = {
    "--secure-serving": ["--secure-serving=true"],
    "--secure-serving=false": ["--secure-serving=false"],
    "--grpc-port 9": ["--grpc-port=9"],
    "--grpc-port=9": ["--grpc-port=9"],
    "-v 4": ["--v=4"],
    "-v4": ["--v=4"],
    "-v=4": ["--v=4"],
    "--v=4": ["--v=4"],
    "--v 4": ["--v=4"],
    "--pool-name --tracing": ["--pool-name=--tracing"],
    "--tracing --grpc-port 9 --secure-serving": ["--tracing=true", "--grpc-port=9", "--secure-serving=true"],
    "--help": ["--help"],
    "--name x --dry": ["--name", "x", "--dry"],
}


@pytest.mark.parametrize("line", FORMS)
def test_every_form_of_the_go_picker_means_the_same(line: str) -> None:
    assert normalised(line.split(), {"--name": False, "--dry": True}) == FORMS[line]


REFUSALS = {
    "--secure-serving false": (
        "unexpected argument 'false': a switch takes its value after '=', write --secure-serving=false"
    ),
    "--grpc-port 9 more": "unexpected argument 'more': every value belongs to a flag",
    "-grpc-port 9": "'-grpc-port': write it with two dashes, --grpc-port",
    "-grpc-port=9": "'-grpc-port=9': write it with two dashes, --grpc-port=9",
    "--grpc-prt=9": "no flag '--grpc-prt'; did you mean '--grpc-port'?",
    "--nonsense-xyz": "no flag '--nonsense-xyz'",
    "-x": "no flag '-x': flags have two dashes, but for -v and -h",
    "--grpc-port": "--grpc-port needs a value",
    "-v": "-v needs a value",
    "--": "no flag '--'; did you mean '--v'?",
}


@pytest.mark.parametrize("line", REFUSALS)
def test_what_pflag_would_take_otherwise_is_refused(line: str) -> None:
    with pytest.raises(ValueError) as refusal:
        normalised(line.split())
    assert str(refusal.value) == REFUSALS[line]


@click.command(cls=PickerCommand)
@click.option("--dry", is_flag=True)
@click.option("--name")
@flag_options
def command(dry: bool, name: str | None, **parameters: object) -> None:
    click.echo(f"{dry} {name} {given_flags(parameters)}")


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, args)
    return result.exit_code, result.output


def test_click_takes_them_all() -> None:
    code, output = run("--dry", "--grpc-port", "9", "-v=4", "--endpoint", "a:1", "--endpoint=b:2", "--secure-serving")
    assert code == 0
    given = {"grpc-port": "9", "v": "4", "endpoint": ("a:1", "b:2"), "secure-serving": "true"}
    assert output == f"True None {given}\n"


def test_nothing_given_is_nothing() -> None:
    assert run() == (0, "False None {}\n")


def test_a_value_may_hold_anything() -> None:
    given = {"config-text": "a: [1, 'b=c']", "pool-name": ""}
    assert run("--config-text=a: [1, 'b=c']", "--pool-name=")[1] == f"False None {given}\n"


def test_a_refusal_is_a_usage_error() -> None:
    code, output = run("--secure-serving", "false")
    assert code == 2
    assert "write --secure-serving=false" in output


def test_help_names_every_flag() -> None:
    code, output = run("--help")
    assert code == 0
    for name in FLAGS:
        assert f"--{name}" in output

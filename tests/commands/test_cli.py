"""The command line: what is there, what is asked wrongly, and what is said then."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import epp
from epp.cli import COMMANDS, cli, main
from tests.commands.invoking import invoke


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """`main` changes what Ctrl-C does."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_help_lists_all_commands() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in COMMANDS)
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_as_the_list_does(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    words = COMMANDS[name][1].rstrip(".").split(",")[0].split(":")[0]
    assert words.lower() in " ".join(result.stdout.split()).lower()
    assert cli.get_command(None, name) is cli.get_command(None, name)  # type: ignore[arg-type]


def test_version() -> None:
    assert invoke("--version").stdout == f"epp {epp.__version__}\n"


@pytest.mark.usefixtures("_interrupts")
@pytest.mark.parametrize("args", [["--nope"], ["-z"], ["--grpc-port", "70000", "--endpoint", "a:1"]])
def test_flags_without_a_command_are_those_of_serve(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert "epp serve" in capsys.readouterr().err or args[0] == "--grpc-port"


@pytest.mark.usefixtures("_interrupts")
def test_ctrl_c_is_no_traceback_while_there_is_nothing_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


@pytest.mark.usefixtures("_interrupts")
def test_an_ignored_ctrl_c_stays_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


REFUSED = {
    "no such command": (("nonsense",), 2, "No such command 'nonsense'"),
    "serve: no endpoints": (("serve",), 2, "no endpoints are named: give --endpoint HOST:PORT"),
    "serve: an unknown flag": (("serve", "--endpiont=x"), 2, "no flag '--endpiont'; did you mean '--endpoint'"),
    "serve: an argument": (("serve", "x"), 2, "unexpected argument 'x': every value belongs to a flag"),
    "serve: a bad value": (("serve", "--endpoint=x:1", "--grpc-port=70000"), 2, "--grpc-port: epp.serving.port:"),
    "serve: no file": (("serve", "--config-file=none"), 1, "epp: none: cannot be read: No such file or directory"),
    "serve: a directory": (("serve", "--config-file=."), 1, "epp: .: cannot be read: Is a directory"),
    "check: nothing": (("check",), 2, "name the file to check"),
    "check: no file": (("check", "none"), 1, "epp: none: cannot be read: No such file or directory"),
    "check: a directory": (("check", "."), 2, "File '.' is a directory"),
    "up: nothing": (("up",), 2, "name the model servers as HOST:PORT, or give a --config-file"),
    "up: no port": (("up", "gpu1"), 2, "'gpu1' has no port: write host:port"),
    "up: a listener without a port": (("up", "gpu1:1", "--listen=0.0.0.0"), 2, "write IP:PORT"),
    "up: a name that is listened on": (("up", "gpu1:1", "--listen=me:1"), 2, "write IP:PORT, as in 0.0.0.0:8080"),
    "up: no file": (("up", "--config-file=none"), 1, "epp: none: cannot be read"),
    "sim-server: no pods": (("sim-server", "--pods=0"), 2, "pods is 0; it must be between 1 and 1000"),
    "sim-server: no address": (("sim-server", "--host=me"), 2, "'me' does not appear to be an IPv4 or IPv6 address"),
    "demo: too few": (("demo", "--pods=1"), 2, "1 is not in the range 2<=x<=32"),
    "explain: two questions": (("explain", "-", "--id=1"), 2, "give FILE or --id, not both"),
    "explain: no request": (("explain", "--path=/x"), 2, "give FILE, or - for stdin"),
    "explain: no file": (("explain", "none"), 2, "'none': No such file or directory"),
    "explain: no token": (("explain", "--token-file=none"), 1, "--token-file none: cannot be read: No such file"),
    "explain: a bad header": (("explain", "-", "--header=x"), 2, "'x' is not NAME: VALUE"),
    "explain: a bad URL": (("explain", "--url=http://[::1"), 1, "--url"),
    "explain: nobody there": (
        ("explain", "--url=127.0.0.1:1"),
        1,
        "no picker answers at http://127.0.0.1:1: Connection",
    ),
}


@pytest.mark.parametrize(("args", "status", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said(
    args: tuple[str, ...], status: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*args)
    assert (result.exit_code, result.stdout) == (status, "")
    assert text in result.stderr

"""Bearer tokens from files."""

import os
from pathlib import Path

import pytest

from epp.telemetry.bearer_token import BearerToken, read_token


def header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_no_token_is_no_header() -> None:
    assert BearerToken(None).headers(0.0) == {}


def test_white_space_around_a_token_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" abc\r\n")
    assert read_token(tmp_path / "token") == "abc"


@pytest.mark.parametrize("token", ["", " \n", "a\nb", "a\r\nX-Y: z", "é", "x" * 20_000, "\x00"])
def test_what_cannot_stand_in_a_header_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    with pytest.raises(ValueError, match=r"printable ASCII|'ascii' codec"):
        read_token(tmp_path / "token")


def test_a_file_is_read_again_when_it_changes_and_looked_at_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    token = BearerToken(path)
    assert token.headers(10.0) == header("one")
    path.write_text("second")
    assert token.headers(10.5) == header("one")
    assert token.headers(11.0) == header("second")


BROKEN = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "two lines": lambda path: path.write_text("a\nb"),
    "binary": lambda path: path.write_bytes(b"\xff\xfe"),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "too long": lambda path: path.write_text("x" * 20_000),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_used_leaves_the_last_token_and_is_told_once(tmp_path: Path, caplog, damage) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    token = BearerToken(path)
    token.headers(0.0)
    damage(path)
    assert [token.headers(now) for now in (1.0, 2.0, 3.0)] == [header("one")] * 3
    (message,) = caplog.messages
    assert "the last token stays in use" in message
    assert "one" not in message


def test_without_any_token_so_far_none_is_sent(tmp_path: Path, caplog) -> None:
    token = BearerToken(tmp_path / "token")
    assert token.headers(0.0) == {}
    assert "no token is sent" in caplog.text
    (tmp_path / "token").write_text("late")
    assert token.headers(1.0) == header("late")

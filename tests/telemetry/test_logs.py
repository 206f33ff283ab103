import io
import json
import logging
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.logs import (
    ConsoleFormatter,
    Encoder,
    JsonFormatter,
    Level,
    LogControl,
    LogSettings,
    level_of_verbosity,
    parse_level,
    start_logging,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(message: str = "hello", *, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "epp.test", "msg": message, "levelno": level, "created": 1_700_000_000.25})
    vars(made).update(fields)
    return made


def as_json(one: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(one)
    assert "\n" not in line
    assert line.isascii()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_record_is_a_line_of_json() -> None:
    assert as_json(record(endpoint="10.0.0.1:80", status=200, ok=True, share=0.5, none=None)) == {
        "ts": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "epp.test",
        "msg": "hello",
        "endpoint": "10.0.0.1:80",
        "status": 200,
        "ok": True,
        "share": 0.5,
        "none": None,
    }


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("authorization", "Bearer abcdef", "[hidden]"),
        ("Proxy-Authorization", "x", "[hidden]"),
        ("set-cookie", "a=b", "[hidden]"),
        ("api_key", "k", "[hidden]"),
        ("session_token", "k", "[hidden]"),
        ("prompt_tokens", 12, 12),
        ("cached_tokens", None, None),
        ("headers", {"Cookie": "a", "x": "b"}, {"Cookie": "[hidden]", "x": "b"}),
        ("text", "sent Bearer abc.def-123, and more", "sent Bearer [hidden], and more"),
        ("text", "Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [hidden]"),
        ("text", "basic authentication failed", "basic authentication failed"),
        ("many", list(range(100)), list(range(64))),
        ("long", "x" * 3000, "x" * 2048 + "... (3000 characters)"),
        ("nan", math.nan, "nan"),
        ("inf", -math.inf, "-inf"),
        ("deep", [[[[[[1]]]]]], [[[["[[1]]"]]]]),
        ("half", "\ud800", "\ud800"),
    ],
)
def test_fields_are_bounded_and_without_secrets(name: str, value: object, shown: object) -> None:
    assert as_json(record(**{name: value}))[name] == shown


def test_a_field_cannot_pass_for_one_of_ours() -> None:
    line = as_json(record(ts="never", logger="nobody"))
    assert (line["ts_"], line["logger_"], line["logger"]) == ("never", "nobody", "epp.test")


def test_a_secret_in_the_message_is_hidden() -> None:
    assert as_json(record("got bearer sk-123456"))["msg"] == "got bearer [hidden]"


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
@given(text=st.text(max_size=60))
def test_no_text_can_begin_a_line_or_move_the_cursor(formatter: logging.Formatter, text: str) -> None:
    line = formatter.format(record(text, value=text, items=[text], field={text: text}))
    assert line.isprintable()


def test_an_exception_is_a_field_of_json_and_lines_for_people() -> None:
    try:
        raise ValueError("bad \x1b[31m Bearer abcdef")
    except ValueError as error:
        one = record(level=logging.ERROR, exc_info=(type(error), error, error.__traceback__))
    trace = str(as_json(one)["exception"])
    assert trace.startswith("Traceback")
    assert "abcdef" not in trace
    lines = ConsoleFormatter().format(one).splitlines()
    assert lines[1].startswith("Traceback")
    assert all(line.isprintable() for line in lines)


def test_a_line_for_people() -> None:
    line = ConsoleFormatter().format(record(endpoint="10.0.0.1:80", note="two words", empty=""))
    assert line == '22:13:20.250Z info    hello  endpoint=10.0.0.1:80 note="two words" empty=""'


@pytest.mark.parametrize(
    ("text", "level"),
    [("info", Level.INFO), (" DEBUG ", Level.DEBUG), ("0", Level.WARNING), ("3", Level.VERBOSE), ("99", Level.TRACE)],
)
def test_levels_have_names_and_numbers(text: str, level: Level) -> None:
    assert parse_level(text) is level


@pytest.mark.parametrize("text", ["", "loud", "-1", "1.5", "9999", "\x1b[2J", "٣"])
def test_what_is_no_level_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed are error, warning, info, verbose, debug, trace") as caught:
        parse_level(text)
    assert str(caught.value).isprintable()


def test_verbosity_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        level_of_verbosity(-1)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def control(stream: io.StringIO) -> Iterator[LogControl]:
    control = start_logging(LogSettings(Level.INFO), stream)
    yield control
    control.stop()


def test_the_level_can_be_changed_while_running(control: LogControl, stream: io.StringIO) -> None:
    log = logging.getLogger("epp.some.room")
    log.debug("unseen")
    control.set_level(Level.DEBUG)
    assert control.level is Level.DEBUG
    log.debug("seen")
    log.log(Level.TRACE, "unseen")
    logging.getLogger("library").info("unseen")
    logging.getLogger("library").warning("theirs")
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["seen", "theirs"]


def test_after_the_end_nothing_is_written(stream: io.StringIO) -> None:
    start_logging(LogSettings(), stream).stop()
    logging.getLogger("epp.some.room").error("unseen")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("encoder", "terminal", "json_lines"),
    [(None, False, True), (None, True, False), (Encoder.JSON, True, True), (Encoder.CONSOLE, False, False)],
)
def test_the_encoder_follows_the_stream_unless_it_is_chosen(
    encoder: Encoder | None, terminal: bool, json_lines: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    control = start_logging(LogSettings(encoder=encoder), stream)
    logging.getLogger("epp.x").warning("a message")
    control.stop()
    assert stream.getvalue().startswith("{") is json_lines


def test_levels_between_those_of_the_library_have_names() -> None:
    assert as_json(record(level=Level.VERBOSE))["level"] == "verbose"
    assert as_json(record(level=Level.TRACE))["level"] == "trace"
    assert as_json(record(level=35, levelname="ODD"))["level"] == "odd"

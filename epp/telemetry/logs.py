"""How log records are written: a line of JSON each, or a line for people.

A record's fields are what is given as `extra`. Names and values may come from clients: control characters are escaped,
long values cut, and what could be a secret is replaced, by the field's name or by its look. Prompts are never given.

`-v` means what it means for the Go picker: 0 and 1 warnings, 2 information (the default), 3 verbose, 4 debug (a line
per request), 5 trace.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import TextIO

__all__ = [
    "ConsoleFormatter",
    "Encoder",
    "JsonFormatter",
    "Level",
    "LogControl",
    "LogSettings",
    "is_secret",
    "level_of_verbosity",
    "parse_level",
    "start_logging",
]

MAX_VALUE = 2048
"""Characters of a message or a field."""

MAX_TRACEBACK = 16_384
MAX_ITEMS = 64
"""Members of a field that is a list or an object."""

MAX_DEPTH = 4

_HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(r"authorization|token$|secret|password|api[-_]?key|credential", re.IGNORECASE)
"""`token$` and not `tokens`: numbers of tokens are what we log most."""

_SECRET_TEXT = re.compile(r"(?i)\b(bearer|authorization:\s*basic)\s+[^\s,;\"']{4,}")
_STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
_OWN = frozenset({"ts", "level", "logger", "msg", "exception"})


class Level(IntEnum):
    """Levels of the standard library, and two between that the Go picker has."""

    ERROR = 40
    WARNING = 30
    INFO = 20
    VERBOSE = 15
    DEBUG = 10
    TRACE = 5


_BY_VERBOSITY = (Level.WARNING, Level.WARNING, Level.INFO, Level.VERBOSE, Level.DEBUG, Level.TRACE)


class Encoder(Enum):
    """How a record is written (`--zap-encoder`)."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: Level = Level.INFO
    encoder: Encoder | None = None
    """None: for people when the stream is a terminal, else JSON."""


def level_of_verbosity(verbosity: int) -> Level:
    """Level of `-v`; beyond 5 there is nothing more. Raises ValueError below 0."""
    if verbosity < 0:
        raise ValueError(f"verbosity {verbosity} is below 0; 0 to 5 are warning, warning, info, verbose, debug, trace")
    return _BY_VERBOSITY[min(verbosity, len(_BY_VERBOSITY) - 1)]


def parse_level(text: str) -> Level:
    """Level by its name or by its number for `-v`. Raises ValueError for anything else."""
    name = text.strip().upper()
    if name in Level.__members__:
        return Level[name]
    if re.fullmatch(r"[0-9]{1,3}", name):
        return level_of_verbosity(int(name))
    allowed = ", ".join(level.name.lower() for level in Level)
    raise ValueError(f"{_cut(_printable(text), 40)!r} is no log level; allowed are {allowed}, or 0 to 5 as with -v")


class JsonFormatter(logging.Formatter):
    """One JSON object per line, ASCII only: ts (RFC 3339, UTC), level, logger, msg, the fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": _level_name(record),
            "logger": record.name,
            "msg": _text(record.getMessage()),
        }
        for name, value in _fields(record).items():
            line[f"{name}_" if name in _OWN else name] = value
        if trace := _traceback(record):
            line["exception"] = trace
        return json.dumps(line, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class ConsoleFormatter(logging.Formatter):
    """Time, level, message and fields on a line; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines, without the last end."""
        fields = " ".join(f"{_printable(name)}={_shown(value)}" for name, value in _fields(record).items())
        message = _printable(_text(record.getMessage()))
        line = f"{_timestamp(record)[11:]} {_level_name(record):7} {message}  {fields}".rstrip()
        trace = "\n".join(map(_printable, _traceback(record).splitlines()))
        return f"{line}\n{trace}" if trace else line


class LogControl:
    """Logging as it was started; its level and its form can be changed while the process runs."""

    def __init__(self, handler: logging.StreamHandler[TextIO], logger: logging.Logger, settings: LogSettings) -> None:
        self._handler = handler
        self._logger = logger
        self._level = settings.level
        self.set_level(settings.level)
        self.set_encoder(settings.encoder)

    @property
    def level(self) -> Level:
        """Of our own loggers. Libraries keep to warnings."""
        return self._level

    def set_level(self, level: Level) -> None:
        """Takes effect at once."""
        self._level = level
        self._logger.setLevel(level)

    def set_encoder(self, encoder: Encoder | None) -> None:
        """Takes effect at once. None: for people when the stream is a terminal, else JSON."""
        encoder = encoder or (Encoder.CONSOLE if self._handler.stream.isatty() else Encoder.JSON)
        self._handler.setFormatter(JsonFormatter() if encoder is Encoder.JSON else ConsoleFormatter())

    def stop(self) -> None:
        """Takes the handler away again."""
        logging.getLogger().removeHandler(self._handler)
        self._logger.setLevel(logging.NOTSET)
        self._handler.close()


def start_logging(settings: LogSettings, stream: TextIO) -> LogControl:
    """Writes all records of the process to the stream, ours from the given level on. To be called once."""
    handler = logging.StreamHandler(stream)
    control = LogControl(handler, logging.getLogger("epp"), settings)
    logging.getLogger().addHandler(handler)
    return control


def is_secret(name: str) -> bool:
    """Whether the value of a field, or of a key of the configuration, could be a secret by its name."""
    return bool(_SECRET_NAME.search(name))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`, cleaned."""
    extra = [(name, value) for name, value in vars(record).items() if name not in _STANDARD]
    return {name: _clean(name, value, MAX_DEPTH) for name, value in extra[:MAX_ITEMS]}


def _clean(name: str, value: object, depth: int) -> object:
    """A value of plain JSON, bounded and without secrets."""
    hidden = is_secret(name) or "cookie" in name.lower()
    if hidden and value is not None and not isinstance(value, (bool, int, float)):
        return _HIDDEN
    match value:
        case None | bool() | int():
            return value
        case float():
            return float(value) if abs(value) < float("inf") else str(value)
        case Mapping() if depth:
            return {_text(str(key)): _clean(str(key), one, depth - 1) for key, one in list(value.items())[:MAX_ITEMS]}
        case list() | tuple() if depth:
            return [_clean("", one, depth - 1) for one in value[:MAX_ITEMS]]
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    return _cut(_SECRET_TEXT.sub(rf"\1 {_HIDDEN}", text), MAX_VALUE)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _printable(text: str) -> str:
    """The text with control characters, line ends and halves of characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _shown(value: object) -> str:
    """A field's value for people: plain when it is one word, else as JSON."""
    if isinstance(value, str) and value and value.isprintable() and not re.search(r"[\s\"=]", value):
        return value
    return _printable(json.dumps(value, ensure_ascii=False))


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    trace = logging.Formatter().formatException(record.exc_info)
    return _SECRET_TEXT.sub(rf"\1 {_HIDDEN}", trace[-MAX_TRACEBACK:])


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level_name(record: logging.LogRecord) -> str:
    return Level(record.levelno).name.lower() if record.levelno in _LEVELS else record.levelname.lower()


_LEVELS = frozenset(Level)

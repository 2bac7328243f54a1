"""I/O edge: log lines: their form, where they go, and who follows them live.

Source: surface rows G26, A24; the line form of github.com/hashicorp/go-hclog, which log shippers parse:

    2024-01-01T00:00:00.000Z [INFO]  agent.http: message: key=value other="two words"

Everything logs through the standard `logging` module, with names such as "agent.http"; key-value pairs are given as
`extra={"fields": {...}}`. What may change here: outputs may be added; the forms are read by machines.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import traceback
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from meshagent.agent.logs_file import LogFile
from meshagent.errors import BadRequest, ConfigError

if TYPE_CHECKING:
    from logging.handlers import SysLogHandler

__all__ = ["TRACE", "LogHub", "LogSettings", "Subscription", "format_json", "format_line", "parse_level"]

#: Below DEBUG; `logging` knows no such level.
TRACE = 5
logging.addLevelName(TRACE, "TRACE")

_LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "err": logging.ERROR,
    "error": logging.ERROR,
}
#: Lines kept for `recent` and lines a follower may lag behind; Consul's monitor buffers 512 too.
_BUFFER_LINES = 512
#: Libraries that log every header they read when they may, and so tokens.
_SILENT = ("hpack", "h2", "hyperframe")


def parse_level(name: str) -> int:
    """The number of a level name, without regard to case.

    Raises:
        BadRequest: `Unknown log level: zz` (surface row A24).
    """
    level = _LEVELS.get(name.lower())
    if level is None:
        raise BadRequest(f"Unknown log level: {name}")
    return level


def level_name(level: int) -> str:
    """hclog's word: trace, debug, info, warn or error."""
    for name in ("error", "warn", "info", "debug"):
        if level >= _LEVELS[name]:
            return name
    return "trace"


# -- the two forms ------------------------------------------------------------------------------------------------


def format_line(record: logging.LogRecord, *, stamp: bool = True) -> str:
    """The line for people (and log shippers), without a newline at the end; without its time for syslog."""
    head = f"[{level_name(record.levelno).upper()}]".ljust(7)
    text = f"{head} {record.name}: {record.getMessage()}"
    if stamp:
        text = f"{_stamp(record.created, 'milliseconds')} {text}"
    fields = _fields(record)
    plain = [f"{key}={_value(value)}" for key, value in fields.items() if "\n" not in value]
    if fields:
        text = f"{text}:"
    text = " ".join([text, *plain])
    for key, value in fields.items():
        if "\n" in value:
            text += f"\n  {key}=\n" + "\n".join(f"  | {line}" for line in value.rstrip("\n").split("\n"))
    return text


def format_json(record: logging.LogRecord) -> str:
    """One JSON object on one line (`log_json`)."""
    row: dict[str, Any] = {
        "@level": level_name(record.levelno),
        "@message": record.getMessage(),
        "@module": record.name,
        "@timestamp": _stamp(record.created, "microseconds", colon=True),
    }
    return json.dumps(row | _fields(record), ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    given: Mapping[str, Any] = getattr(record, "fields", None) or {}
    fields = {key: _text(value) for key, value in given.items()}
    if record.exc_info and record.exc_info[1] is not None:
        fields.setdefault("error", f"{record.exc_info[0].__name__}: {record.exc_info[1]}" if record.exc_info[0] else "")
        fields["stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
    return fields


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _value(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\t') else text


def _stamp(created: float, precision: str, *, colon: bool = False) -> str:
    """Local time as Go's "2006-01-02T15:04:05.000Z0700": `Z` when that is UTC."""
    moment = datetime.fromtimestamp(created).astimezone()
    text = moment.replace(tzinfo=None).isoformat(timespec=precision)
    if not moment.utcoffset():
        return f"{text}Z"
    zone = moment.strftime("%z")
    return f"{text}{zone[:3]}:{zone[3:]}" if colon else f"{text}{zone}"


# -- where lines go -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Surface row G26. `file` empty means none."""

    level: str = "INFO"
    json: bool = False
    file: str = ""
    rotate_duration_s: float = 86400.0
    rotate_bytes: int = 0
    rotate_max_files: int = 0
    syslog: bool = False
    syslog_facility: str = "LOCAL0"


class Subscription:
    """One follower: an asynchronous iterator of lines with their newline. Lines are dropped, and counted, while it
    lags more than the buffer; `close` ends the iteration."""

    def __init__(self, hub: LogHub, level: int, as_json: bool, limit: int) -> None:
        self._hub = hub
        self.level = level
        self.dropped = 0
        self._format = format_json if as_json else format_line
        self._limit = limit
        self._lines: deque[str] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def push(self, record: logging.LogRecord) -> None:
        """Take a record; may be called from any thread."""
        if len(self._lines) >= self._limit:
            self.dropped += 1
            return
        self._lines.append(self._format(record) + "\n")
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(self._wake.set)

    def close(self) -> None:
        """Stop following."""
        if not self._closed:
            self._closed = True
            self._hub.unsubscribe(self)
            self._wake.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                while self._lines:
                    yield self._lines.popleft().encode("utf-8", "backslashreplace")
                if self._closed:
                    return
                self._wake.clear()
                if not self._lines:
                    await self._wake.wait()
        finally:
            self.close()


class LogHub(logging.Handler):
    """All outputs of the agent's log, as one handler of `logging`.

    `stream` is where lines go besides file and syslog: standard output, or nowhere with `quiet`. The root
    logger's level follows the most curious reader, so a follower can see more than the file does.
    """

    def __init__(
        self, settings: LogSettings = LogSettings(), stream: TextIO | None = None, *, quiet: bool = False
    ) -> None:
        super().__init__(TRACE)
        self.recent: deque[str] = deque(maxlen=_BUFFER_LINES)
        self._settings = settings
        self._stream = None if quiet else stream or sys.stdout
        self._format = format_json if settings.json else format_line
        self._threshold = self._configured_level(settings.level)
        self._followers: tuple[Subscription, ...] = ()
        self._logger: logging.Logger | None = None
        self._file: LogFile | None = None
        if settings.file:
            self._file = LogFile(
                settings.file,
                duration_s=settings.rotate_duration_s,
                max_bytes=settings.rotate_bytes,
                max_files=settings.rotate_max_files,
            )
            if refusal := self._file.refusal():
                raise ConfigError(f"log_file: {refusal}")
        self._syslog = _open_syslog(settings.syslog_facility) if settings.syslog else None

    @staticmethod
    def _configured_level(name: str) -> int:
        try:
            return parse_level(name)
        except BadRequest:
            raise ConfigError(
                f"Invalid log level: {name}. Valid log levels are: [TRACE DEBUG INFO WARN ERROR]"
            ) from None

    def attach(self, logger: logging.Logger | None = None) -> None:
        """Take over what `logger` (the root by default) and its children log."""
        self._logger = logger or logging.getLogger()
        self._logger.addHandler(self)
        for name in _SILENT:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._adjust()

    def detach(self) -> None:
        """Give the logger back, end all followers, close the file."""
        for follower in self._followers:
            follower.close()
        if self._logger is not None:
            self._logger.removeHandler(self)
            self._logger = None
        if self._file is not None:
            self._file.close()
        if self._syslog is not None:
            self._syslog.close()

    def set_level(self, name: str) -> None:
        """Change the level of the outputs (reload). Raises ConfigError."""
        self._threshold = self._configured_level(name)
        self._adjust()

    def subscribe(self, level: str = "info", *, as_json: bool = False, limit: int = _BUFFER_LINES) -> Subscription:
        """Follow the log at a level of one's own. Raises BadRequest for an unknown level."""
        follower = Subscription(self, parse_level(level), as_json, limit)
        self._followers = (*self._followers, follower)
        self._adjust()
        return follower

    def unsubscribe(self, follower: Subscription) -> None:
        """Forget a follower."""
        self._followers = tuple(f for f in self._followers if f is not follower)
        self._adjust()
        if follower.dropped and self._logger is not None:
            name = "agent.monitor"
            logging.getLogger(name).warning(
                "Dropped logs during monitor request", extra={"fields": {"dropped_logs": follower.dropped}}
            )

    def _adjust(self) -> None:
        if self._logger is not None:
            self._logger.setLevel(min([self._threshold, *(f.level for f in self._followers)]))

    def emit(self, record: logging.LogRecord) -> None:
        """Hand `record` to every output that wants its level."""
        try:
            for follower in self._followers:
                if record.levelno >= follower.level:
                    follower.push(record)
            if record.levelno >= self._threshold:
                self._write(record)
        except Exception:  # a log line must never stop its caller
            self.handleError(record)

    def _write(self, record: logging.LogRecord) -> None:
        line = self._format(record)
        self.recent.append(line)
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # standard output went away
                self._stream.write(line + "\n")
                self._stream.flush()
        if self._file is not None:
            self._file.write(line, record.created)
        if self._syslog is not None:
            self._syslog.emit(record)


class _SyslogForm(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"meshagent: {format_line(record, stamp=False)}"


def _open_syslog(facility: str) -> SysLogHandler:
    from logging.handlers import SysLogHandler

    number = SysLogHandler.facility_names.get(facility.lower())
    if number is None:
        raise ConfigError(f"syslog_facility: invalid syslog facility: {facility}")
    try:
        handler = SysLogHandler("/dev/log", number)
    except OSError as error:
        raise ConfigError(f"Syslog setup error: /dev/log: {error}; set enable_syslog = false without it") from None
    handler.setFormatter(_SyslogForm())
    return handler

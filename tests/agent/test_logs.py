import asyncio
import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hpack import Decoder, Encoder

from meshagent.agent.logs import (
    TRACE,
    LogHub,
    LogSettings,
    Subscription,
    format_json,
    format_line,
    level_name,
    parse_level,
)
from meshagent.errors import BadRequest, ConfigError

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4}) (.*)", re.S)


def record(level: int = logging.INFO, message: str = "hello", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("agent.http", level, "f.py", 1, message, None, None)
    if fields:
        made.fields = fields
    return made


def body(line: str) -> str:
    found = LINE.fullmatch(line)
    assert found, line
    return found[2]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (record(), "[INFO]  agent.http: hello"),
        (record(TRACE), "[TRACE] agent.http: hello"),
        (record(logging.DEBUG), "[DEBUG] agent.http: hello"),
        (record(logging.WARNING), "[WARN]  agent.http: hello"),
        (record(logging.ERROR), "[ERROR] agent.http: hello"),
        (record(logging.CRITICAL), "[ERROR] agent.http: hello"),
        (record(check="c 1", n=3, ok=True), '[INFO]  agent.http: hello: check="c 1" n=3 ok=true'),
        (record(empty="", tags=["a", "b"]), '[INFO]  agent.http: hello: empty="" tags="[a, b]"'),
        (record(out="a\nb\n", n=1), "[INFO]  agent.http: hello: n=1\n  out=\n  | a\n  | b"),
    ],
)
def test_lines_have_the_form_of_hclog(made: logging.LogRecord, text: str) -> None:  # G26
    assert body(format_line(made)) == text


def test_json_lines_carry_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:  # G26 log_json
    row = json.loads(format_json(record(logging.WARNING, "no disk", error="full")))
    assert row.pop("@timestamp")
    assert row == {"@level": "warn", "@message": "no disk", "@module": "agent.http", "error": "full"}


def test_an_exception_is_an_error_and_its_trace() -> None:
    logger, hub = logging.getLogger("test.trace"), LogHub()
    hub.attach(logger)
    try:
        raise ValueError("bad thing")
    except ValueError:
        logger.exception("task failed")
    hub.detach()
    line = hub.recent[-1]
    assert 'test.trace: task failed: error="ValueError: bad thing"\n  stacktrace=\n  | Traceback' in line
    assert line.endswith("  | ValueError: bad thing")


@pytest.mark.parametrize(("name", "level"), [("trace", 5), ("DEBUG", 10), ("Info", 20), ("warn", 30), ("ERR", 40)])
def test_levels_are_known_by_name(name: str, level: int) -> None:
    assert parse_level(name) == level
    assert level_name(level) in {name.lower(), "error"}


def test_tokens_in_headers_are_not_logged_at_any_level() -> None:
    """The library logs each header that it reads."""
    stream = io.StringIO()
    hub = LogHub(LogSettings(level="TRACE"), stream)
    hub.attach()
    try:
        Decoder().decode(Encoder().encode([("x-consul-token", "e95b599e-166e-7d80-08ad-aee76e7ddf19")]))
    finally:
        hub.detach()
    assert "e95b599e" not in stream.getvalue()


def test_an_unknown_level_is_refused_as_by_consul() -> None:  # A24
    with pytest.raises(BadRequest, match=r"^Unknown log level: zz$"):
        parse_level("zz")
    with pytest.raises(ConfigError, match=r"Invalid log level: zz\. Valid log levels are"):
        LogHub(LogSettings(level="zz"))


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.getLogger("test.hub")
    made.propagate = False
    return made


@pytest.fixture
def hub(logger: logging.Logger) -> Iterator[LogHub]:
    made = LogHub(LogSettings(level="warn"), stream=io.StringIO())
    made.attach(logger)
    yield made
    made.detach()


def test_only_the_wanted_levels_are_written(hub: LogHub, logger: logging.Logger) -> None:
    logger.info("quiet")
    logger.warning("loud")
    hub.set_level("info")
    logger.info("now heard")
    assert [body(line).split(": ")[1] for line in hub.recent] == ["loud", "now heard"]


def test_a_stream_that_went_away_does_not_stop_the_caller(logger: logging.Logger) -> None:
    stream = io.StringIO()
    hub = LogHub(stream=stream)
    hub.attach(logger)
    stream.close()
    logger.warning("still here")
    hub.detach()
    assert hub.recent[-1].endswith("still here")


async def collect(follower: Subscription, count: int) -> list[str]:
    lines = []
    async for line in follower:
        lines.append(line.decode())
        if len(lines) == count:
            break
    return lines


async def test_a_follower_has_a_level_of_its_own(hub: LogHub, logger: logging.Logger) -> None:  # A24
    follower = hub.subscribe("debug")
    logger.debug("detail")
    logger.log(TRACE, "too much")
    logger.error("failed")
    lines = await collect(follower, 2)
    assert [body(line.rstrip("\n")) for line in lines] == ["[DEBUG] test.hub: detail", "[ERROR] test.hub: failed"]
    assert len(hub.recent) == 1
    follower.close()
    assert not logger.isEnabledFor(logging.DEBUG)


async def test_a_follower_may_want_json(hub: LogHub, logger: logging.Logger) -> None:  # A24 logjson
    follower = hub.subscribe("info", as_json=True)
    logger.info("hello")
    (line,) = await collect(follower, 1)
    assert json.loads(line)["@message"] == "hello"
    follower.close()


async def test_a_follower_that_lags_loses_lines_and_the_log_says_how_many(hub: LogHub, logger: logging.Logger) -> None:
    logging.getLogger("agent.monitor").parent = logger
    follower = hub.subscribe("info", limit=3)
    for number in range(10):
        logger.info("line %d", number)
    follower.close()
    assert follower.dropped == 7
    assert [line async for line in follower][-1].endswith(b"line 2\n")
    assert body(hub.recent[-1]) == "[WARN]  agent.monitor: Dropped logs during monitor request: dropped_logs=7"


async def test_lines_of_other_threads_wake_the_follower(hub: LogHub, logger: logging.Logger) -> None:
    follower = hub.subscribe("info")
    reading = asyncio.ensure_future(collect(follower, 1))
    await asyncio.sleep(0)
    thread = threading.Thread(target=logger.info, args=("from the disk thread",))
    thread.start()
    (line,) = await asyncio.wait_for(reading, 5)
    thread.join()
    assert line.endswith("from the disk thread\n")
    follower.close()


async def test_detaching_ends_the_followers(logger: logging.Logger) -> None:
    hub = LogHub()
    hub.attach(logger)
    follower = hub.subscribe()
    reading = asyncio.ensure_future(collect(follower, 1))
    await asyncio.sleep(0)
    hub.detach()
    assert await asyncio.wait_for(reading, 5) == []


def test_lines_go_to_the_file(tmp_path: Path, logger: logging.Logger) -> None:  # G26
    hub = LogHub(LogSettings(file=f"{tmp_path}/", json=True))
    hub.attach(logger)
    logger.warning("kept")
    hub.detach()
    (path,) = tmp_path.glob("consul-*.log")
    assert json.loads(path.read_text())["@message"] == "kept"


def test_syslog_needs_a_known_facility() -> None:  # G26
    with pytest.raises(ConfigError, match="syslog_facility: invalid syslog facility: NOPE"):
        LogHub(LogSettings(syslog=True, syslog_facility="NOPE"))


def test_without_a_syslog_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr("logging.handlers.SysLogHandler.__init__", refuse)
    with pytest.raises(ConfigError, match="enable_syslog = false"):
        LogHub(LogSettings(syslog=True))


def test_syslog_gets_lines_without_a_time(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger) -> None:
    sent = []
    monkeypatch.setattr("logging.handlers.SysLogHandler.__init__", lambda self, *_: logging.Handler.__init__(self))
    monkeypatch.setattr("logging.handlers.SysLogHandler.emit", lambda self, made: sent.append(self.format(made)))
    monkeypatch.setattr("logging.handlers.SysLogHandler.close", lambda self: None)
    hub = LogHub(LogSettings(syslog=True))
    hub.attach(logger)
    logger.warning("to the machine's log")
    hub.detach()
    assert sent == ["meshagent: [WARN]  test.hub: to the machine's log"]


def test_a_log_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """G26."""
    with pytest.raises(ConfigError, match=f"^log_file: there is no folder {tmp_path}/gone$"):
        LogHub(LogSettings(file=f"{tmp_path}/gone/agent.log"))

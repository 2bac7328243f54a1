"""A server that was away for too long does not come back with its old data."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from meshagent.agent.rejoin import FILE, check_age, keep_seen
from meshagent.clock import VirtualClock
from meshagent.errors import ConfigError

WEEK_S = 168 * 3600.0


async def seen(path: Path, unix: int) -> None:
    """Until that stands in the file; it is written by a thread."""
    async with asyncio.timeout(30):
        while not path.exists() or json.loads(path.read_bytes())["last_seen_unix"] != unix:
            await asyncio.sleep(0.001)


async def test_it_is_written_at_the_start_and_every_hour(tmp_path: Path) -> None:
    clock = VirtualClock()
    began = int(clock.now().timestamp())
    keeping = asyncio.ensure_future(keep_seen(tmp_path, clock))
    await seen(tmp_path / FILE, began)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    while not clock._sleepers:
        await asyncio.sleep(0.001)
    await clock.advance(3600)
    await seen(tmp_path / FILE, began + 3600)
    keeping.cancel()


def test_after_too_long_it_is_refused(tmp_path: Path) -> None:
    now = VirtualClock().now()
    check_age(tmp_path, now, WEEK_S)  # it was never here
    (tmp_path / FILE).write_text(json.dumps({"last_seen_unix": int(now.timestamp())}))
    check_age(tmp_path, now + timedelta(seconds=WEEK_S), WEEK_S)
    check_age(tmp_path, now - timedelta(days=999), WEEK_S)  # the clock was set back
    with pytest.raises(ConfigError, match=r"server_rejoin_age_max \(168h0m0s\) - consider wiping your data dir"):
        check_age(tmp_path, now + timedelta(seconds=WEEK_S + 1), WEEK_S)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"last_seen_unix": "yesterday"}', b"[" * 10_000])
def test_what_cannot_be_read_keeps_nobody_from_starting(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    check_age(tmp_path, VirtualClock().now(), 1.0)
    assert "cannot be read" in caplog.text


async def test_a_disk_that_is_full_is_told_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    keeping = asyncio.ensure_future(keep_seen(tmp_path / "file", clock))
    (tmp_path / "file").write_text("no directory")
    async with asyncio.timeout(30):
        while not clock._sleepers:
            await asyncio.sleep(0.001)
    assert "cannot be written" in caplog.text
    keeping.cancel()

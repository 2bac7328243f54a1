"""I/O edge: when a server was last seen, kept in its data directory; one that was away for too long does not come back.

    server_metadata.json    {"last_seen_unix": seconds}, written at the start and every hour

Source: surface row G10 (`server_rejoin_age_max`); developer.hashicorp.com/consul/docs/agent/config/config-files.
What such a server remembers may contradict a cluster that has long gone on without it: its data directory is to be
emptied, then it joins as a new one.

What may be changed: how often it is written. A file that cannot be read keeps nobody from starting.
"""

from __future__ import annotations

import logging
from asyncio import to_thread
from datetime import datetime
from pathlib import Path

import msgspec

from meshagent.agent.persist import write_files
from meshagent.clock import Clock
from meshagent.durations import format_duration
from meshagent.errors import ConfigError

__all__ = ["FILE", "check_age", "keep_seen"]

log = logging.getLogger("agent")

FILE = "server_metadata.json"
WRITE_EVERY_S = 3600.0
MAX_BYTES = 4096


class _Metadata(msgspec.Struct):
    last_seen_unix: int


def check_age(data_dir: Path, now: datetime, max_age_s: float) -> None:
    """Raises ConfigError: the server of this directory was last seen longer ago than `max_age_s`. Blocks."""
    path = data_dir / FILE
    try:
        with path.open("rb") as file:
            metadata = msgspec.json.decode(file.read(MAX_BYTES), type=_Metadata)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("when this server was last seen cannot be read: path=%s: %s", path, error)
        return
    if now.timestamp() - metadata.last_seen_unix > max_age_s:
        raise ConfigError(
            "refusing to rejoin cluster because server has been offline for more than the configured "
            f"server_rejoin_age_max ({format_duration(int(max_age_s * 1e9))}) - consider wiping your data dir"
        )


async def keep_seen(data_dir: Path, clock: Clock) -> None:
    """Write now and every hour that this server is there."""
    while True:
        data = msgspec.json.encode(_Metadata(int(clock.now().timestamp())))
        try:
            await to_thread(write_files, {data_dir / FILE: data})
        except OSError as error:
            log.error("when this server was last seen cannot be written: %s", error)
        await clock.sleep(WRITE_EVERY_S)

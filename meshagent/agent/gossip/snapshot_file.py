"""I/O edge: the snapshot of a pool on disk (`serf/local.snapshot`, `remote.snapshot`), which a restart rejoins from.

Source: surface row S52. Lines are appended without a sync: what a crash of the machine loses are the last moments, and
a torn line is skipped. The file is written anew beside itself, synced and renamed, at every start and whenever it has
grown. Writing happens in a thread; a disk that refuses is reported once and costs no gossip. What may change here: when
it writes; not what (`snapshot_log.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from meshagent.agent.gossip.snapshot_log import Replayed, SnapshotLog, replay

__all__ = ["SnapshotFile", "read_snapshot"]

log = logging.getLogger("agent.gossip")

#: No snapshot is longer: 256 bytes for each of 100,000 members.
_MAX_BYTES = 32 << 20


def read_snapshot(path: Path, *, rejoin_after_leave: bool) -> Replayed:
    """What the last run left; nothing, if there is no file or it cannot be read (which is logged)."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return Replayed()
    except OSError as error:
        log.warning("%s cannot be read, nobody is rejoined: %s", path, error.strerror)
        return Replayed()
    return replay(data, rejoin_after_leave=rejoin_after_leave)


class SnapshotFile:
    """Writes the lines of a `SnapshotLog`."""

    def __init__(self, path: Path, start: Replayed) -> None:
        self.log = SnapshotLog(start)
        self._path = path
        self._opened = False
        self._failing = False
        self._writing = asyncio.Lock()

    async def flush(self) -> str:
        """Write what has been noted; the metric that the time it took belongs to, "" if there was nothing to do."""
        async with self._writing:
            lines = self.log.take()
            anew = not self._opened or self._failing or self.log.is_long
            if not lines and not anew:
                return ""
            data = self.log.compacted() if anew else lines
            try:
                await asyncio.get_running_loop().run_in_executor(None, _rewrite if anew else _append, self._path, data)
            except OSError as error:
                if not self._failing:
                    log.error("%s cannot be written: %s", self._path, error.strerror)
                self._failing = True
            else:
                self._opened, self._failing = True, False
        return "serf.snapshot.compact" if anew else "serf.snapshot.appendLine"


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(data)


def _rewrite(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.compact")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)

"""I/O edge: the id of the cluster that this server belongs to, and the file that remembers it.

The first leader makes it up and writes it into the log (`commands.ClusterInit`). It is in the hello of every
connection, so that a server of another cluster is refused. A server that starts again does not know what of its log is
committed before it hears a leader, so the id also stands in `data_dir/cluster-id`.

Source: ours. What may change here: nothing; to move a server to another cluster, empty its data_dir.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from meshagent.agent.persist import write_files
from meshagent.catalog.store import Store
from meshagent.clock import Tasks
from meshagent.errors import ConfigError
from meshagent.ids import is_uuid

__all__ = ["FILE", "ClusterId"]

log = logging.getLogger("agent.server")

FILE = "cluster-id"


class ClusterId:
    """Follows the id in `store`; `on_change` is called with each new one."""

    def __init__(self, store: Store, data_dir: Path | None, tasks: Tasks, on_change: Callable[[str], None]) -> None:
        self._store = store
        self._path = None if data_dir is None else data_dir / FILE
        self._tasks = tasks
        self._on_change = on_change
        self.value = _read(self._path)
        self._follow()

    def _follow(self) -> None:
        self._store.watches.subscribe(("cluster",), self._follow)
        cluster_id = self._store.cluster_id
        if not cluster_id or cluster_id == self.value:
            return
        if self.value:
            log.warning("this cluster has another id now: old=%s new=%s", self.value, cluster_id)
        self.value = cluster_id
        if self._path is not None:
            self._tasks.start(_write(self._path, cluster_id), name="cluster id")
        self._on_change(cluster_id)


async def _write(path: Path, cluster_id: str) -> None:
    try:
        await asyncio.to_thread(write_files, {path: cluster_id.encode()})
    except OSError as error:
        log.error("%s cannot be written: %s", path, error.strerror)


def _read(path: Path | None) -> str:
    """Raises ConfigError."""
    if path is None or not path.exists():
        return ""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not is_uuid(text):
        raise ConfigError(
            f"{path} holds {text[:80]!r}, which is not a cluster id; remove it to take the one in the log"
        )
    return text

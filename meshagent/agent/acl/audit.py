"""I/O edge: the audit log: every write and every denial, one JSON object a line, in a file that is rotated.

    {"Time": "...", "Node": "n1", "Accessor": "...", "Method": "PUT", "Path": "/v1/kv/a", "Remote": "10.0.0.1",
     "Agent": "", "Status": 403, "Refusal": "Permission denied: ..."}

Paths lose their token, bodies and values are never written. `Agent` is the node whose agent was asked, when that was
another one. Lines are written by a thread; more than `MAX_WAITING` of them wait for no disk: what is lost is counted in
the next line.

Source: ours (upstream has one in Enterprise). What may change here: fields may be added.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from meshagent.agent.logs_file import LogFile
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.clock import Clock, Tasks

__all__ = ["AuditLog"]

log = logging.getLogger("agent.acl")

MAX_WAITING = 10_000


class AuditLog:
    """One file. Raises ConfigError: nothing can be written there."""

    def __init__(self, config: Config, node_name: str, clock: Clock, tasks: Tasks) -> None:
        audit = config.acl.audit
        self._file = LogFile(
            audit.path,
            duration_s=audit.rotate_duration,
            max_bytes=audit.rotate_bytes,
            max_files=audit.rotate_max_files,
        )
        refusal = self._file.refusal()
        if refusal:
            raise ConfigError(f"acl.audit.path: {refusal}")
        self._node_name = node_name
        self._clock = clock
        self._tasks = tasks
        self._waiting: list[str] = []
        self._lost = 0
        self._writing = False

    def record(
        self, *, accessor: str, method: str, path: str, remote: str, asker: str, status: int, refusal: str
    ) -> None:
        """One request. `path` must have lost its token."""
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            return
        row = {
            "Time": self._clock.now().isoformat().replace("+00:00", "Z"),
            "Node": self._node_name,
            "Accessor": accessor,
            "Method": method,
            "Path": path,
            "Remote": remote,
            "Agent": asker,
            "Status": status,
        }
        if refusal:
            row["Refusal"] = refusal
        if self._lost:
            row["LinesLostBefore"] = self._lost
            self._lost = 0
        self._waiting.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
        if not self._writing:
            self._writing = True
            self._tasks.start(self._write_all(), name="audit")

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                lines, self._waiting = self._waiting, []
                await asyncio.to_thread(self._write, lines)
        finally:
            self._writing = False

    def _write(self, lines: list[str]) -> None:
        now = self._clock.now().timestamp()
        for line in lines:
            self._file.write(line, now)

    def close(self) -> None:
        """Write what waits, and close the file."""
        lines, self._waiting = self._waiting, []
        self._write(lines)
        self._file.close()

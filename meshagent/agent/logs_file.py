"""I/O edge: the log file and its rotation.

Source: surface row G26; developer.hashicorp.com/consul/docs/agent/config/cli-flags (`-log-file`, `-log-rotate-*`).
`/var/log/consul.log` is written as `/var/log/consul-<ns since 1970>.log`; a directory gets `consul-<ns>.log` inside.
What may change here: how failures are reported; names and counts are what log shippers are set up for.
"""

from __future__ import annotations

import glob
import os
import sys
from typing import BinaryIO

__all__ = ["LogFile"]

_DEFAULT_NAME = "consul.log"


class LogFile:
    """An append-only file that moves on to a new one by age and by size.

    `max_bytes` 0 is no limit; `max_files` is how many old files stay: 0 all, -1 none. A disk that refuses does not
    stop the agent: the lines are lost, and standard error says so once.
    """

    def __init__(self, path: str, *, duration_s: float = 86400.0, max_bytes: int = 0, max_files: int = 0) -> None:
        folder, name = os.path.split(path)
        stem, extension = os.path.splitext(name or _DEFAULT_NAME)
        self._stem = os.path.join(folder, stem)
        self._extension = extension or ".log"
        self._duration_s = duration_s
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._file: BinaryIO | None = None
        self._opened = 0.0
        self._written = 0
        self._complained = False
        self.path = ""

    def refusal(self) -> str:
        """Why nothing can be written where the file belongs, "" if it can: to be asked before the first line."""
        folder = os.path.dirname(self._stem) or "."
        if not os.path.isdir(folder):
            return f"there is no folder {folder}"
        return "" if os.access(folder, os.W_OK | os.X_OK) else f"this user may not write in {folder}"

    def write(self, line: str, now: float) -> None:
        """Append `line` (without its newline) at `now`, seconds since 1970."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._file is None or self._due(now):
                self._rotate(now)
            assert self._file is not None  # noqa: S101  _rotate opened it
            self._file.write(data)
            self._file.flush()
            self._written += len(data)
            self._complained = False
        except OSError as error:
            if not self._complained:
                self._complained = True
                where = self.path or self._stem
                print(f"cannot write the log file {where}: {error.strerror or error}", file=sys.stderr)

    def _due(self, now: float) -> bool:
        full = 0 < self._max_bytes <= self._written
        return full or (self._duration_s > 0 and now - self._opened >= self._duration_s)

    def _rotate(self, now: float) -> None:
        if self._file is not None:
            self.close()
            self._prune()
        self.path = f"{self._stem}-{int(now * 1e9)}{self._extension}"
        self._file = open(self.path, "ab", opener=_private)  # noqa: SIM115  closed by `close`
        self._opened = now
        self._written = self._file.tell()

    def _prune(self) -> None:
        if self._max_files == 0:
            return
        old = sorted(glob.glob(f"{glob.escape(self._stem)}-*{glob.escape(self._extension)}"))
        for path in old[: len(old) - max(0, self._max_files)]:
            os.unlink(path)

    def close(self) -> None:
        """Close the file; a later write opens a new one."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)

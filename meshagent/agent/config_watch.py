"""I/O edge: notices that files of the configuration have changed (`auto_reload_config`).

Source: surface row G4. Looked at once a second by their place, size and times: that is a few microseconds a file, holds
for files that are renamed into place and for the symbolic links of a Kubernetes volume, and needs nothing of the
kernel. A change is told once it has stood still for one look, so that a file that is still being written is not read.
What may change here: how a change is noticed.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.clock import Clock

__all__ = ["certificate_files", "follow_files", "signature"]

_EVERY_S = 1.0

Signature = tuple[tuple[str, int, int, int], ...]


def certificate_files(config: Config) -> tuple[str, ...]:
    """Files that are read again by a reload besides the configuration itself."""
    blocks = (config.tls.https, config.tls.internal_rpc)
    return tuple(name for block in blocks for name in (block.ca_file, block.cert_file, block.key_file) if name)


def signature(paths: Iterable[str]) -> Signature:
    """Tells states of files and directories apart; what cannot be looked at is as good as absent."""
    return tuple(row for path in paths for row in _rows(path))


def _rows(path: str) -> Iterator[tuple[str, int, int, int]]:
    try:
        names = sorted(str(file) for file in Path(path).iterdir()) if os.path.isdir(path) else [path]
    except OSError:
        return
    for name in names:
        try:
            found = os.stat(name)
        except OSError:
            continue
        yield name, found.st_ino, found.st_size, found.st_mtime_ns


async def follow_files(
    paths: Callable[[], Iterable[str]], changed: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """Call `changed` whenever the files have changed, for ever. `paths` is asked at each look."""
    known = seen = signature(paths())
    while True:
        await clock.sleep(_EVERY_S)
        now = signature(paths())
        if now == seen and now != known:
            known = now
            await changed()
        seen = now

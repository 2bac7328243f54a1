"""I/O edge: where a listener of the sidecar accepts: a port, or a Unix socket that only its owner reaches.

Source: surface row M2 (`LocalBindSocketPath`, `LocalBindSocketMode`); unix(7). A socket that an earlier process left
behind is taken out of the way; anything else in its place stays, and binding fails. What may change here: further kinds
of places.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from meshagent.connect.snapshot import Outbound

__all__ = ["Door"]

_BACKLOG = 1024


class Door:
    """One place; open or closed."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._path = ""

    async def open(self, accept: Callable[[], asyncio.BaseProtocol], address: str, port: int) -> None:
        """Accept at a port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(accept, address, port, backlog=_BACKLOG)

    async def open_socket(self, accept: Callable[[], asyncio.BaseProtocol], path: str, mode: str) -> None:
        """Accept at a Unix socket; `mode` is octal, "" is 0600. Raises OSError."""
        _remove(path)
        self._server = await asyncio.get_running_loop().create_unix_server(accept, path)
        self._path = path
        os.chmod(path, int(mode, 8) if mode else 0o600)

    async def open_for(self, outbound: Outbound, accept: Callable[[], asyncio.BaseProtocol]) -> bool:
        """Accept where an upstream is to be had; False when others hand its connections over. Raises OSError."""
        if not outbound.listens:
            return False
        if outbound.socket_path:
            await self.open_socket(accept, outbound.socket_path, outbound.socket_mode)
        else:
            await self.open(accept, outbound.address, outbound.port)
        return True

    def close(self) -> bool:
        """Accept no more; whether it was open."""
        server, self._server = self._server, None
        if server is None:
            return False
        server.close()
        if self._path:
            _remove(self._path)
        return True


def _remove(path: str) -> None:
    place = Path(path)
    if place.is_socket():
        place.unlink(missing_ok=True)

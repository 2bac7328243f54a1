"""I/O edge: asking the sidecars of this user on this host: their sockets, their pages, their taps.

Source: `connect/proxy/telemetry/places.py` and `admin.py`, which answer. What may change here: nothing without them.
"""

from __future__ import annotations

import http.client
import json
import os
import selectors
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from meshagent.agent.cli.connection import UnixConnection
from meshagent.connect.proxy.telemetry import places

__all__ = ["Sidecar", "lines", "running"]

_TIMEOUT_S = 2.0
#: A line of a tap is not longer.
_MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that answers: its socket, and what `/edges` said."""

    path: Path
    service: str
    proxy_id: str
    edges: tuple[dict[str, Any], ...]


def running() -> list[Sidecar]:
    """All sidecars of this user on this host; sockets whose process has ended are passed over."""
    found = []
    for path in places.sockets(places.place_of(os.environ)):
        connection = UnixConnection(str(path), _TIMEOUT_S)
        try:
            connection.request("GET", "/edges")
            said = json.loads(connection.getresponse().read())
            found.append(Sidecar(path, said["service"], said["proxy_id"], tuple(said["edges"])))
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return found


def lines(sidecars: list[Sidecar], filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What the taps of these sidecars say, as it comes; ends when all of them have ended.

    Raises:
        ValueError: a filter was refused, with the sidecar's words.
    """
    selector = selectors.DefaultSelector()
    for sidecar in sidecars:
        connection = UnixConnection(str(sidecar.path), _TIMEOUT_S)
        connection.connect()
        opened = connection.sock
        opened.sendall(f"GET /tap?{urlencode(filters)} HTTP/1.1\r\nHost: tap\r\n\r\n".encode())
        opened.settimeout(None)
        selector.register(opened, selectors.EVENT_READ, bytearray())
    heads: set[int] = set()
    while selector.get_map():
        for key, _ in selector.select():
            stream: Any = key.fileobj
            data = stream.recv(65536)
            buffer: bytearray = key.data
            if not data or len(buffer) > _MAX_LINE:
                selector.unregister(stream)
                stream.close()
                continue
            buffer += data
            if key.fd not in heads:
                head, end, rest = bytes(buffer).partition(b"\r\n\r\n")
                if not end:
                    continue
                if b" 200 " not in head.split(b"\r\n")[0]:
                    raise ValueError(rest.decode("utf-8", "replace").strip())
                heads.add(key.fd)
                buffer[:] = rest
            *whole, left = bytes(buffer).split(b"\n")
            buffer[:] = left
            for line in whole:
                if line:
                    yield json.loads(line)

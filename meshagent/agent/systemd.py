"""I/O edge: telling systemd how we are.

Source: sd_notify(3): one datagram of KEY=VALUE lines to the socket named in NOTIFY_SOCKET; a leading "@" is an abstract
socket. Surface row V1.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping

__all__ = ["notify"]

log = logging.getLogger("agent.systemd")


def notify(environ: Mapping[str, str], *lines: str) -> bool:
    """Send `lines` (`READY=1`, `STOPPING=1`, ...); False when nobody listens. Never raises: we run without it too."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall("\n".join(lines).encode())
    except OSError as error:
        log.warning("cannot notify systemd at %s: %s", address, error)
        return False
    return True

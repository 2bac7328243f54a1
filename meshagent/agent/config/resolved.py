"""Addresses once templates are evaluated and defaults chosen: what servers bind and what others are told.

Source: surface rows G3, G11 and G12. Built by resolve.py; nothing here is read from a file.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Listen", "Network"]


class Listen(NamedTuple):
    """A place to listen: a host and port, or a Unix socket (`path`)."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Network(NamedTuple):
    """Where this agent listens, and the addresses it tells; an empty tuple is "switched off"."""

    bind_addr: str = "127.0.0.1"
    advertise_addr: str = "127.0.0.1"
    advertise_addr_wan: str = "127.0.0.1"
    tagged_addresses: tuple[tuple[str, str], ...] = ()
    """(name, address) pairs: lan, lan_ipv4, lan_ipv6, wan, wan_ipv4, wan_ipv6 as known, and configured ones."""
    client_addrs: tuple[str, ...] = ("127.0.0.1",)
    dns: tuple[Listen, ...] = ()
    http: tuple[Listen, ...] = ()
    https: tuple[Listen, ...] = ()
    grpc: tuple[Listen, ...] = ()
    grpc_tls: tuple[Listen, ...] = ()
    serf_lan: Listen | None = None
    serf_wan: Listen | None = None
    server: Listen | None = None

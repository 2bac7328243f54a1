"""What is known of one member: its name, address, metadata, protocol versions and state.

Source: surface rows S4, S13, S15; golden README section 5. A `Node` is immutable and replaced as a whole, so that
thousands of simulated agents can share one, and whoever holds it across time sees what it saw. States and the order of
the six version numbers are the wire's: append-only.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from functools import lru_cache

import msgspec

__all__ = ["DEFAULT_VERSIONS", "Address", "Node", "NodeState", "format_ip", "parse_ip", "show_address"]

#: What sockets take: IP address as text (never a name), port.
Address = tuple[str, int]

#: memberlist 1..5, speaking 2; serf 2..5, speaking 4: what Consul sends (golden README section 5).
DEFAULT_VERSIONS = bytes((1, 5, 2, 2, 5, 4))


class NodeState(IntEnum):
    """As on the wire (push/pull `State`)."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Node(msgspec.Struct, frozen=True):
    """One member as it is known now.

    `addr` is packed: 4 bytes of IPv4 or 16 of IPv6. `versions` is `Vsn`: protocol min, max, current, delegate min,
    max, current. `incarnation` is the member's own count of how often it spoke up for itself.
    """

    name: str
    addr: bytes
    port: int
    meta: bytes = b""
    versions: bytes = DEFAULT_VERSIONS
    incarnation: int = 0
    state: NodeState = NodeState.ALIVE

    @property
    def ip(self) -> str:
        return format_ip(self.addr)

    @property
    def address(self) -> Address:
        return (format_ip(self.addr), self.port)

    @property
    def up(self) -> bool:
        """Alive, or only suspected not to be."""
        return self.state <= NodeState.SUSPECT

    @property
    def protocol_max(self) -> int:
        return self.versions[1]


@lru_cache(maxsize=65536)
def format_ip(addr: bytes) -> str:
    """Packed address as text. Raises ValueError: not 4 or 16 bytes."""
    return str(ipaddress.ip_address(addr))


@lru_cache(maxsize=65536)
def parse_ip(text: str) -> bytes:
    """Text (IPv6 without a zone) as packed address. Raises ValueError."""
    return ipaddress.ip_address(text).packed


def show_address(address: Address) -> str:
    """`10.0.0.1:8301`, `[::1]:8301`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""I/O edge: the addresses of this host, for address templates and for choosing what to advertise.

Source: psutil (imported only when asked for, it costs 15 ms) and, on Linux, /proc/net/route and /proc/net/ipv6_route
(proc(5)) for which interface the default route takes; elsewhere no interface counts as default. The result is data for
agent/sockaddr.py; no rules belong here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path

from meshagent.agent.sockaddr import Interface

__all__ = ["default_routes", "host_interfaces"]

_ROUTE_UP = 0x1
_ANY_V6 = "0" * 32


def host_interfaces(proc: Path = Path("/proc")) -> list[Interface]:
    """Every address of every interface, in the system's order."""
    import psutil

    default = default_routes(proc)
    stats = psutil.net_if_stats()
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        flags = _flags(name, stats)
        for address in addresses:
            if address.family not in {socket.AF_INET, socket.AF_INET6}:
                continue
            host = address.address.partition("%")[0]
            found.append(Interface(name, host, _prefix(address.netmask, host), flags, name in default))
    return found


def _flags(name: str, stats: Mapping[str, object]) -> frozenset[str]:
    words = {word.strip() for word in getattr(stats.get(name), "flags", "").split(",")} - {""}
    if getattr(stats.get(name), "isup", True):
        words.add("up")
    return frozenset(words)


def _prefix(netmask: str | None, host: str) -> int:
    longest = 128 if ":" in host else 32
    if not netmask:
        return longest
    family = socket.AF_INET6 if ":" in netmask else socket.AF_INET
    with contextlib.suppress(OSError):
        return int.from_bytes(socket.inet_pton(family, netmask), "big").bit_count()
    return longest


def default_routes(proc: Path = Path("/proc")) -> set[str]:
    """Names of the interfaces that default routes take."""
    found = set()
    with contextlib.suppress(OSError):
        for line in (proc / "net/route").read_text().splitlines()[1:]:
            name, destination, _, flags, *_rest = line.split()
            if destination == "00000000" and int(flags, 16) & _ROUTE_UP:
                found.add(name)
    with contextlib.suppress(OSError):
        for line in (proc / "net/ipv6_route").read_text().splitlines():
            destination, length, *_, flags, name = line.split()
            if destination == _ANY_V6 and length == "00" and int(flags, 16) & _ROUTE_UP and name != "lo":
                found.add(name)
    return found

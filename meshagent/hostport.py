"""Host and port of a text: `host`, `host:port`, `[v6]:port` or a bare IPv6 address.

Source: the forms that Consul's options and commands take. Pure. What may change here: nothing about those forms.
"""

from __future__ import annotations

__all__ = ["join_host_port", "split_host_port"]


def split_host_port(address: str, default: int) -> tuple[str, int]:
    """("10.0.0.1", 8301) of "10.0.0.1:8301"; `default` where there is no port."""
    host, colon, port = address.rpartition(":")
    if colon and port.isascii() and port.isdigit() and (host.count(":") == 0 or host.endswith("]")):
        return host.strip("[]"), int(port)
    return address.strip("[]"), default


def join_host_port(host: str, port: int) -> str:
    """`[::1]:8503` of ("::1", 8503)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""Which traffic of a host or network namespace goes through a sidecar in transparent mode, as rules for nftables. Pure.

Everything that comes in over TCP goes to the public listener, everything that leaves to the outbound one, names to the
agent's DNS; who and what is left alone is excluded by user, port and network. Users come first: what the proxy itself
sends never comes back to it, and an agent that asks resolvers of its own is not answered by itself.

Source: developer.hashicorp.com/consul/commands/connect/redirect-traffic; nft(8) (NAT statements, priorities). What may
change here: what is excluded. One table of a fixed name holds all, so that applying twice is applying once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshagent.errors import BadRequest

__all__ = ["OUTBOUND_PORT", "TABLE", "Network", "Redirection", "network", "port_number", "ports", "removal", "rules"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: (first, last) of a range of ports, both in it.
Ports = tuple[int, int]

#: Where a transparent proxy listens unless its registration says otherwise (surface row M10).
OUTBOUND_PORT = 15001
TABLE = "meshagent_redirect"
_DNS_PORT = 53
#: Consul excludes 127.0.0.1 alone; what is sent to another loopback address never was for the mesh either.
_LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """What is redirected and what is not. `uids` are left alone, the proxy's own among them.

    Names are looked up at `dns_ip` and `dns_port`; "" and 0 leave them alone, one of them alone means 127.0.0.1 or 53.
    """

    uids: tuple[int, ...]
    inbound_port: int
    outbound_port: int = OUTBOUND_PORT
    inbound_ports: tuple[Ports, ...] = ()
    outbound_ports: tuple[Ports, ...] = ()
    networks: tuple[Network, ...] = ()
    dns_ip: str = ""
    dns_port: int = 0


def rules(wanted: Redirection) -> str:
    """A script for `nft -f -` that puts these rules in the place of those that were there, all or none."""
    lines = [
        *_fresh(),
        f"table inet {TABLE} {{",
        "\tchain output {",
        "\t\ttype nat hook output priority -100; policy accept;",
        f"\t\tmeta skuid {_set(str(uid) for uid in sorted(set(wanted.uids)))} return",
        *_names(wanted),
        *_left_alone(wanted.outbound_ports),
        *_networks((*_LOOPBACK, *wanted.networks)),
        f"\t\tmeta l4proto tcp redirect to :{wanted.outbound_port}",
        "\t}",
        "\tchain prerouting {",
        "\t\ttype nat hook prerouting priority -100; policy accept;",
        *_left_alone(wanted.inbound_ports),
        f"\t\tmeta l4proto tcp redirect to :{wanted.inbound_port}",
        "\t}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def removal() -> str:
    """A script that takes the rules away, whether there are any or not."""
    return "\n".join(_fresh()) + "\n"


def port_number(field: str, text: str) -> int:
    """A port. Raises BadRequest that names `field`."""
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise BadRequest(f"{field}: {text!r} is not a port (1 to 65535)")
    return int(text)


def ports(field: str, text: str, named: Callable[[str], int]) -> Ports:
    """A port, a range (`8080:9000`) or the name of a service (`ssh`), which `named` knows (0: it does not).

    Raises:
        BadRequest: names `field`.
    """
    first, colon, last = text.partition(":")
    if colon:
        low, high = port_number(field, first), port_number(field, last)
        if low > high:
            raise BadRequest(f"{field}: the range {text!r} ends before it begins")
        return low, high
    if re.fullmatch(r"[A-Za-z0-9]*[A-Za-z][A-Za-z0-9_.+-]{0,63}", text) and (port := named(text)):
        return port, port
    one = port_number(field, text)
    return one, one


def network(field: str, text: str) -> Network:
    """A network or an address, of IPv4 or IPv6. Raises BadRequest that names `field`."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise BadRequest(f"{field}: {error}") from None


# --- inside ---------------------------------------------------------------------------------------------------------


def _fresh() -> tuple[str, str]:
    """Naming a table makes it, so that it can be deleted even where there was none."""
    return f"table inet {TABLE}", f"delete table inet {TABLE}"


def _set(members: Iterable[str]) -> str:
    return "{ " + ", ".join(members) + " }"


def _names(wanted: Redirection) -> list[str]:
    if not wanted.dns_ip and not wanted.dns_port:
        return []
    address = ipaddress.ip_address(wanted.dns_ip or "127.0.0.1")
    port = wanted.dns_port or _DNS_PORT
    family, place = ("ip", f"{address}") if address.version == 4 else ("ip6", f"[{address}]")
    return [f"\t\tmeta l4proto {{ tcp, udp }} th dport {_DNS_PORT} dnat {family} to {place}:{port}"]


def _left_alone(found: tuple[Ports, ...]) -> list[str]:
    if not found:
        return []
    return [
        f"\t\ttcp dport {_set(str(low) if low == high else f'{low}-{high}' for low, high in _merged(found))} return"
    ]


def _merged(found: Iterable[Ports]) -> list[Ports]:
    """The same ports in ranges that do not touch: nft refuses a set in which two overlap."""
    merged: list[Ports] = []
    for low, high in sorted(found):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged


def _networks(found: tuple[Network, ...]) -> list[str]:
    four = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
    return [
        f"\t\tip daddr {_set(str(one) for one in four)} return",
        f"\t\tip6 daddr {_set(str(one) for one in six)} return",
    ]

"""From a question's name to what is asked for.

Source: surface rows D1-D14; developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups; RFC 2782 for the
underscore form. The grammar is in the README of this room. Pure: the catalog is not looked at, so a well-formed name of
something that does not exist is not an error here.

What may change here: a new kind of name is a member of `Kind`, a branch in `_inside`, and rows in `records.py`.
"""

from __future__ import annotations

import enum
import re
from typing import Final, NamedTuple

from meshagent.dns.wire import SRV, wire_name

__all__ = ["Asked", "Kind", "Zone", "Zones", "parse_name"]


class Kind(enum.StrEnum):  # of strings, because members of a plain Enum hash in Python
    """What a name denotes."""

    NODE = "node"
    SERVICE = "service"
    CONNECT = "connect"
    VIRTUAL = "virtual"
    INGRESS = "ingress"
    QUERY = "query"
    ADDR = "addr"
    REVERSE = "reverse"
    NOTHING = "nothing"
    """Inside our domain, but no name of ours: NXDOMAIN."""
    OUTSIDE = "outside"
    """Not ours: recursors, or REFUSED."""


class Zone(NamedTuple):
    """One of our domains: `text` without the final dot, lower case, and its wire form."""

    text: str
    wire: bytes


class Zones(NamedTuple):
    """The domain and the alternative one (or None)."""

    main: Zone
    alternative: Zone | None

    @classmethod
    def of(cls, domain: str, alt_domain: str) -> Zones:
        """From the option values, with or without the final dot."""
        return cls(_zone(domain) or Zone("consul", b"\x06consul\x00"), _zone(alt_domain))


def _zone(domain: str) -> Zone | None:
    text = domain.lower().strip(".")
    wire = wire_name(text) if text else None
    return Zone(text, wire) if wire is not None else None


class Asked(NamedTuple):
    """What a name asks for. `datacenter` and `peer` are "" when not given; names are lower case.

    `name` is the name of the node, service or query, the canonical address for REVERSE, the hexadecimal digits for
    ADDR. `peer` is set for names below `<peer>.peer.<domain>`.
    """

    kind: Kind
    zone: Zone
    name: str = ""
    tag: str = ""
    datacenter: str = ""
    peer: str = ""


_KINDS: Final = {
    kind.value: kind
    for kind in (Kind.NODE, Kind.SERVICE, Kind.CONNECT, Kind.VIRTUAL, Kind.INGRESS, Kind.QUERY, Kind.ADDR)
}
_HEX_ADDRESS = re.compile(r"[0-9a-f]{8}|[0-9a-f]{32}")


def parse_name(text: str, plain: bool, qtype: int, zones: Zones) -> Asked:
    """What `text` (lower case, no final dot) asks for; `plain` is false when a label holds an odd character.

    >>> zones = Zones.of("consul.", "")
    >>> parse_name("primary.db.service.dc1.consul", True, SRV, zones)[2:5]
    ('db', 'primary', 'dc1')
    """
    for zone in zones:
        if zone is None:
            continue
        suffix = zone.text
        if text.endswith(suffix):
            rest = text[: -len(suffix)]
            if not rest:
                return Asked(Kind.NOTHING, zone)
            if rest[-1] == ".":
                return _inside(rest[:-1], plain, qtype, zone)
    if text.endswith("arpa"):
        if text.endswith((".in-addr.arpa", ".ip6.arpa")):
            return Asked(Kind.REVERSE, zones.main, _reversed_address(text))
        if text in {"in-addr.arpa", "ip6.arpa"}:
            return Asked(Kind.REVERSE, zones.main)
    return Asked(Kind.OUTSIDE, zones.main)


def _inside(rest: str, plain: bool, qtype: int, zone: Zone) -> Asked:
    """`rest` is what stands before the domain, not empty."""
    if not plain:
        return Asked(Kind.NOTHING, zone)
    labels = rest.split(".")
    # The rightmost label that is a kind decides, so that names to its left may hold such words.
    at = len(labels) - 1
    kind = None
    while at >= 0:
        kind = _KINDS.get(labels[at])
        if kind is not None:
            break
        if qtype == SRV and labels[at][:1] == "_":
            # RFC 2782 names may leave out "service".
            return _service(Kind.SERVICE, labels[: at + 1], labels[at + 1 :], zone)
        at -= 1
    if kind is None:
        return Asked(Kind.NOTHING, zone)
    parts, suffix = labels[:at], labels[at + 1 :]
    if not parts:
        return Asked(Kind.NOTHING, zone)
    return _service(kind, parts, suffix, zone)


def _service(kind: Kind, parts: list[str], suffix: list[str], zone: Zone) -> Asked:
    """The name from the labels before the kind (`parts`, not empty) and between it and the domain (`suffix`)."""
    datacenter = peer = ""
    if suffix:
        count = len(suffix)
        if count == 1:
            # A single label is a datacenter, for virtual names a peer (row D8).
            if kind is Kind.VIRTUAL:
                peer = suffix[0]
            else:
                datacenter = suffix[0]
        elif count == 2 and suffix[1] == "dc":
            datacenter = suffix[0]
        elif count == 2 and suffix[1] == "peer" and kind in (Kind.SERVICE, Kind.NODE, Kind.VIRTUAL):
            peer = suffix[0]
        else:
            # .ns., .ap. and .sg. labels belong to Consul Enterprise (row D11).
            return Asked(Kind.NOTHING, zone)
    name, tag = parts[-1], ""
    if kind is Kind.SERVICE:
        if len(parts) == 2 and name[0:1] == "_" and parts[0][0:1] == "_":
            name = parts[0][1:]
            tag = parts[1][1:]
            if tag == "tcp":
                tag = ""
        elif len(parts) > 1:
            tag = ".".join(parts[:-1])
    elif kind is Kind.QUERY:
        if len(parts) == 2 and name[0:1] == "_":
            if parts[0][0:1] != "_" or name != "_tcp":
                return Asked(Kind.NOTHING, zone)
            name = parts[0][1:]
        else:
            name = ".".join(parts)
    elif kind is Kind.NODE:
        name = ".".join(parts)
    elif kind is Kind.ADDR and (len(parts) != 1 or not _HEX_ADDRESS.fullmatch(name)):
        return Asked(Kind.NOTHING, zone)
    if not name:
        return Asked(Kind.NOTHING, zone)
    return Asked(kind, zone, name, tag, datacenter, peer)


def _reversed_address(text: str) -> str:
    """Canonical text of the address that a reverse name spells, or "" when it spells none (RFC 1035 3.5, RFC 3596)."""
    if text.endswith(".in-addr.arpa"):
        octets = text[:-13].split(".")
        if len(octets) != 4 or not all(o.isascii() and o.isdigit() and len(o) <= 3 and int(o) <= 255 for o in octets):
            return ""
        return ".".join(str(int(octet)) for octet in reversed(octets))
    nibbles = text[:-9].split(".")
    if len(nibbles) != 32 or not all(len(n) == 1 and n in "0123456789abcdef" for n in nibbles):
        return ""
    return _ipv6_text(int("".join(reversed(nibbles)), 16))


def _ipv6_text(number: int) -> str:
    import ipaddress

    parsed = ipaddress.IPv6Address(number)
    return str(parsed.ipv4_mapped or parsed)

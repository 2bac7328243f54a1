r"""go-sockaddr templates: addresses found on the host when the agent starts.

Source: surface row G3; pkg.go.dev/github.com/hashicorp/go-sockaddr/template. Examples:

    {{ GetPrivateIP }}
    {{ GetInterfaceIP "eth0" }}
    {{ GetPrivateInterfaces | include "network" "10.0.0.0/8" | attr "address" }}
    {{ GetAllInterfaces | exclude "flags" "loopback" | sort "-size" | limit 2 | join "address" " " }}

Pure: the host's addresses are passed in (agent/interfaces.py reads them), and asked for only when a template needs
them. A template is text with pipelines in `{{ }}`; Go's other template words (if, range, with) are refused by name.
A new function or attribute is one row in the tables below.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from meshagent.errors import ConfigError

__all__ = ["Interface", "evaluate", "private_interfaces", "public_interfaces"]


class Interface(NamedTuple):
    """One address of a network interface; `flags` holds up, loopback, broadcast, multicast, pointtopoint."""

    name: str
    address: str
    prefix: int
    flags: frozenset[str] = frozenset({"up"})
    default_route: bool = False

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        return ipaddress.ip_address(self.address)

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        return ipaddress.ip_network((self.address, self.prefix), strict=False)


Interfaces = list[Interface]

#: Special-purpose blocks by the RFC that names them.
_BLOCKS = {
    "1112": "224.0.0.0/4",
    "1122": "0.0.0.0/8 127.0.0.0/8",
    "1918": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "2544": "198.18.0.0/15",
    "3849": "2001:db8::/32",
    "3927": "169.254.0.0/16",
    "4193": "fc00::/7",
    "4291": "::/128 ::1/128 fe80::/10 ff00::/8",
    "5737": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24",
    "6598": "100.64.0.0/10",
    "6890": (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 255.255.255.255/32 "
        "::/128 ::1/128 64:ff9b::/96 ::ffff:0:0/96 100::/64 2001::/23 2001:db8::/32 2002::/16 fc00::/7 fe80::/10"
    ),
}
#: What no router forwards (RFC 6890 table column "Forwardable", and multicast).
_NOT_FORWARDABLE = (
    "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 192.0.0.0/29 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 "
    "240.0.0.0/4 ::/128 ::1/128 ::ffff:0:0/96 2001:db8::/32 fe80::/10 ff00::/8"
)


def _within(interface: Interface, blocks: str) -> bool:
    ip = interface.ip
    return any(ip in ipaddress.ip_network(block) for block in blocks.split())


def _usable(interfaces: Interfaces) -> Interfaces:
    """Up and forwardable, IPv4 first, small networks first."""
    found = [i for i in interfaces if "up" in i.flags and not _within(i, _NOT_FORWARDABLE)]
    return sorted(found, key=lambda i: (i.ip.version, i.network.num_addresses))


def private_interfaces(interfaces: Interfaces) -> Interfaces:
    """Those with an address that is not of the public internet (RFC 6890)."""
    return [i for i in _usable(interfaces) if _within(i, _BLOCKS["6890"])]


def public_interfaces(interfaces: Interfaces) -> Interfaces:
    """Those with an address of the public internet."""
    return [i for i in _usable(interfaces) if not _within(i, _BLOCKS["6890"])]


def _named(interfaces: Interfaces, name: str) -> Interfaces:
    return _usable([i for i in interfaces if i.name == name])


def _first(interfaces: Interfaces) -> str:
    return interfaces[0].address if interfaces else ""


def _all(interfaces: Interfaces) -> str:
    return " ".join(i.address for i in interfaces)


#: Where a pipeline begins: name -> function of the host's interfaces and the arguments.
_SOURCES: dict[str, Callable[..., Any]] = {
    "GetAllInterfaces": lambda interfaces: list(interfaces),
    "GetDefaultInterfaces": lambda interfaces: [i for i in interfaces if i.default_route],
    "GetPrivateInterfaces": private_interfaces,
    "GetPublicInterfaces": public_interfaces,
    "GetPrivateIP": lambda interfaces: _first(private_interfaces(interfaces)),
    "GetPrivateIPs": lambda interfaces: _all(private_interfaces(interfaces)),
    "GetPublicIP": lambda interfaces: _first(public_interfaces(interfaces)),
    "GetPublicIPs": lambda interfaces: _all(public_interfaces(interfaces)),
    "GetInterfaceIP": lambda interfaces, name: _first(_named(interfaces, name)),
    "GetInterfaceIPs": lambda interfaces, name: _all(_named(interfaces, name)),
}


def _attributes(interface: Interface) -> dict[str, str]:
    ip, network = interface.ip, interface.network
    bits = ip.max_prefixlen
    lone = network.num_addresses <= 2
    return {
        "address": interface.address,
        "name": interface.name,
        "network": str(network),
        "string": f"{interface.address}/{interface.prefix}",
        "type": f"IPv{ip.version}",
        "size": str(network.num_addresses),
        "host": interface.address,
        "netmask": str(network.netmask),
        "mask_bits": str(interface.prefix),
        "broadcast": str(network.broadcast_address) if ip.version == 4 else "",
        "first_usable": str(network[0] if lone else network[1]),
        "last_usable": str(network[-1] if lone else network[-2]),
        "octets": " ".join(str(octet) for octet in ip.packed),
        "hex": f"{int(ip):0{bits // 4}x}",
        "binary": f"{int(ip):0{bits}b}",
        "flags": "|".join(sorted(interface.flags)),
        "port": "0",
    }


def _attribute(interface: Interface, name: str) -> str:
    try:
        return _attributes(interface)[name.lower()]
    except KeyError:
        raise ValueError(f'unknown attribute "{name}"; known: {", ".join(_attributes(interface))}') from None


def _flag(interface: Interface, flag: str) -> bool:
    if flag == "forwardable":
        return not _within(interface, _NOT_FORWARDABLE)
    if flag == "default":
        return interface.default_route
    kinds = {
        "global unicast": interface.ip.is_global,
        "link-local unicast": interface.ip.is_link_local,
        "interface-local multicast": False,
    }
    return kinds.get(flag, flag in interface.flags)


def _rfc(interface: Interface, value: str) -> bool:
    if value not in _BLOCKS:
        raise ValueError(f'unknown RFC "{value}"; known: {", ".join(_BLOCKS)}')
    return _within(interface, _BLOCKS[value])


def _of_type(interface: Interface, value: str) -> bool:
    return value.lower() in {"ip", f"ipv{interface.ip.version}"}


def _in_network(interface: Interface, value: str) -> bool:
    network = ipaddress.ip_network(value, strict=False)
    return interface.ip in network


#: What `include` and `exclude` select by.
_SELECTORS: dict[str, Callable[[Interface, str], bool]] = {
    "address": lambda interface, value: re.search(value, interface.address) is not None,
    "name": lambda interface, value: re.search(value, interface.name) is not None,
    "flag": lambda interface, value: all(_flag(interface, flag.strip().lower()) for flag in value.split("|")),
    "flags": lambda interface, value: all(_flag(interface, flag.strip().lower()) for flag in value.split("|")),
    "network": _in_network,
    "rfc": _rfc,
    "size": lambda interface, value: interface.prefix == int(value.removeprefix("/")),
    "type": _of_type,
}


def _selector(name: str) -> Callable[[Interface, str], bool]:
    try:
        return _SELECTORS[name.lower()]
    except KeyError:
        raise ValueError(f'unknown selector "{name}"; known: {", ".join(_SELECTORS)}') from None


def _include(interfaces: Interfaces, by: str, value: str) -> Interfaces:
    select = _selector(by)
    return [i for i in interfaces if select(i, value)]


def _exclude(interfaces: Interfaces, by: str, value: str) -> Interfaces:
    select = _selector(by)
    return [i for i in interfaces if not select(i, value)]


_SORT_KEYS: dict[str, Callable[[Interface], Any]] = {
    "address": lambda i: (i.ip.version, int(i.ip)),
    "default": lambda i: not i.default_route,
    "name": lambda i: i.name,
    "private": lambda i: not _within(i, _BLOCKS["6890"]),
    "size": lambda i: i.network.num_addresses,
    "type": lambda i: i.ip.version,
}


def _sort(interfaces: Interfaces, by: str) -> Interfaces:
    for word in reversed(by.split(",")):
        key = _SORT_KEYS.get(word.strip().lstrip("+-").lower())
        if key is None:
            raise ValueError(f'unknown sort key "{word}"; known: {", ".join(_SORT_KEYS)}')
        interfaces = sorted(interfaces, key=key, reverse=word.strip().startswith("-"))
    return interfaces


def _unique(interfaces: Interfaces, by: str) -> Interfaces:
    seen: dict[str, Interface] = {}
    for interface in interfaces:
        seen.setdefault(_attribute(interface, by), interface)
    return list(seen.values())


def _math(interfaces: Interfaces, what: str, value: str) -> Interfaces:
    """`math "address" "+1"`, `math "network" "+5"` (from its start, negative from its end), `math "mask" "24"`."""
    return [_moved(i, what, value) for i in interfaces]


def _moved(interface: Interface, what: str, value: str) -> Interface:
    if what == "mask":
        start = ipaddress.ip_network((interface.address, int(value.removeprefix("/"))), strict=False)
        return interface._replace(address=str(start.network_address), prefix=start.prefixlen)
    if what not in {"address", "network"}:
        raise ValueError(f'math knows "address", "network" and "mask", not "{what}"')
    steps = int(value)
    begin = interface.ip if what == "address" else interface.network[0 if steps >= 0 else -1]
    return interface._replace(address=str(begin + steps))


#: What stands after `|`: name -> function of what came before and the arguments.
_PIPES: dict[str, Callable[..., Any]] = {
    "include": _include,
    "exclude": _exclude,
    "sort": _sort,
    "unique": _unique,
    "math": _math,
    "limit": lambda interfaces, count: interfaces[: max(int(count), 0)],
    "offset": lambda interfaces, count: interfaces[int(count) :],
    "attr": lambda interfaces, name: _attribute(interfaces[0], name) if interfaces else "",
    "join": lambda interfaces, name, separator: separator.join(_attribute(i, name) for i in interfaces),
}

_ACTION = re.compile(r"(?:[ \t\r\n]*\{\{-|\{\{)(.*?)(?:-\}\}[ \t\r\n]*|\}\})", re.DOTALL)
_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|([\w.+/-]+)|(\|))')


def evaluate(template: str, interfaces: Callable[[], Sequence[Interface]]) -> str:
    """`template` with each `{{ pipeline }}` replaced; `interfaces` is called only if there is one.

    Raises:
        ConfigError: naming the template and what is wrong with it.
    """
    if "{{" not in template:
        return template.strip()
    try:
        text = _ACTION.sub(lambda match: _run(match[1], interfaces), template)
        if "{{" in text:
            raise ValueError("'{{' is not closed")
    except (ValueError, IndexError, OverflowError, re.error) as error:
        raise ConfigError(f"unable to parse address template {template!r}: {error}") from None
    return text.strip()


def _run(pipeline: str, interfaces: Callable[[], Sequence[Interface]]) -> str:
    value: Any = None
    for number, (name, *arguments) in enumerate(_stages(pipeline)):
        table = _SOURCES if number == 0 else _PIPES
        function = table.get(name)
        if function is None:
            raise ValueError(f'function "{name}" not defined; known here: {", ".join(table)}')
        if number and not isinstance(value, list):
            raise ValueError(f'"{name}" needs a list of interfaces before it')
        wanted = _arguments(function)
        if len(arguments) != wanted:
            raise ValueError(f'"{name}" takes {wanted} arguments, not {len(arguments)}')
        value = function(list(interfaces()) if number == 0 else value, *arguments)
    return " ".join(_attribute(i, "string") for i in value) if isinstance(value, list) else value


def _arguments(function: Callable[..., Any]) -> int:
    return int(function.__code__.co_argcount) - 1


def _stages(pipeline: str) -> list[list[str]]:
    stages: list[list[str]] = [[]]
    at = 0
    while pipeline[at:].strip():
        match = _WORD.match(pipeline, at)
        if match is None:
            raise ValueError(f"cannot read {pipeline[at:].strip()[:20]!r}")
        at = match.end()
        quoted, raw, word, bar = match.groups()
        if bar:
            stages.append([])
        else:
            stages[-1].append(
                re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else raw if raw is not None else word
            )
    if not all(stages):
        raise ValueError("missing value for command")
    return stages

"""Where a gateway binds: its own address, its tagged ones, and those that its configuration names.

Source: `envoy_gateway_no_default_bind`, `envoy_gateway_bind_tagged_addresses` and
`envoy_gateway_bind_addresses`; developer.hashicorp.com/consul/docs/connect/proxies/envoy#gateway-options. Pure. What
cannot be read counts as left out, as in Consul. What may change here: nothing that moves a listener.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.model import Service

__all__ = ["Bind", "bind_addresses", "binds_of"]

#: A gateway without an address is for everybody.
_EVERYWHERE = "0.0.0.0"


class Bind(msgspec.Struct, frozen=True):
    """One place: `default`, the name of a tagged address, or a name of the configuration."""

    name: str
    address: str
    port: int


def binds_of(service: Service) -> tuple[Bind, ...]:
    """All places in order; of several with one address and port the first counts."""
    config = service.proxy.config or {}
    found: list[Bind] = []
    if not _flag(config, "envoy_gateway_no_default_bind"):
        found.append(Bind("default", service.address or _EVERYWHERE, service.port))
    if _flag(config, "envoy_gateway_bind_tagged_addresses"):
        tagged = service.tagged_addresses or {}
        found += [Bind(name, tagged[name].address, tagged[name].port) for name in sorted(tagged)]
    given = config.get("envoy_gateway_bind_addresses")
    for name, place in sorted(given.items()) if isinstance(given, dict) else ():
        words = {str(key).lower(): value for key, value in place.items()} if isinstance(place, dict) else {}
        address, port = words.get("address"), words.get("port", 0)
        if isinstance(address, str) and address and isinstance(port, int | float) and 0 <= port <= 65535:
            found.append(Bind(str(name), address, int(port)))
    seen: dict[tuple[str, int], Bind] = {}
    for one in found:
        seen.setdefault((one.address, one.port), one)
    return tuple(seen.values())


def bind_addresses(service: Service) -> tuple[str, ...]:
    """The addresses alone, for gateways whose listeners have ports of their own."""
    return tuple(dict.fromkeys(one.address for one in binds_of(service)))


def _flag(config: dict[str, Any], key: str) -> bool:
    return config.get(key) is True

"""The DNS names of an ingress gateway's leaf: who asks for one, and which ones a server vouches for.

A gateway without certificates of its own shows its leaf to browsers and the like, which look for the host they asked
for. Nobody else's leaf has DNS names: who may have a service's leaf must not so get a certificate for any host.

Source: surface row M62; developer.hashicorp.com/consul/docs/connect/gateways/ingress-gateway. Pure. What may change
here: other kinds whose leaf has names.
"""

from __future__ import annotations

from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.ingress_gateway import IngressGateway, IngressListener

__all__ = ["MAX_NAMES", "has_tls", "leaf_names", "may_bear"]

#: Names of one leaf; `certs.MAX_NAMES`, which costs 10 MB to import.
MAX_NAMES = 64
_INGRESS = "*.ingress."


def leaf_names(entries: Lookup, gateway: str, datacenter: str, domain: str) -> tuple[str, ...]:
    """The names that DNS answers with the gateway, and the hosts of its services; () where no listener has TLS."""
    entry = entries.get(IngressGateway, gateway)
    if entry is None or not any(has_tls(entry, one) for one in entry.listeners or ()):
        return ()
    found = [f"{_INGRESS}{domain}", f"{_INGRESS}{datacenter}.{domain}", *_hosts(entry)]
    return tuple(dict.fromkeys(found))[:MAX_NAMES]


def may_bear(entries: Lookup, service: str, name: str) -> bool:
    """Whether a server may sign that name into the leaf of a service."""
    entry = entries.get(IngressGateway, service)
    if entry is None or not any(has_tls(entry, one) for one in entry.listeners or ()):
        return False
    return name.startswith(_INGRESS) or name in _hosts(entry)


def has_tls(entry: IngressGateway, listener: IngressListener) -> bool:
    """Whether a listener is to speak TLS, by its own settings or the gateway's."""
    settings = [one for one in (entry.tls, listener.tls) if one is not None]
    return any(one.enabled or one.sds is not None for one in settings)


def _hosts(entry: IngressGateway) -> list[str]:
    services = [service for listener in entry.listeners or () for service in listener.services or ()]
    return [host.partition(":")[0] for service in services for host in service.hosts or () if host != "*"]

"""What an ingress or API gateway opens to the world: listeners, and the services behind them. Values of a snapshot.

Both kinds come to the same: a listener takes connections for one upstream (TCP), or requests that virtual hosts share
by their host name. The upstreams stand in `ProxySnapshot.outbound`, with their chains, limits and instances, under the
key that is named here: what a sidecar does for its upstreams is done for those of a gateway.

Source: surface rows M27, M31-M34. Pure. What may change here: fields are added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.ingress_gateway import SDS
from meshagent.catalog.entries.service_intentions import IntentionJWT

__all__ = ["Certificate", "Edge", "EdgeListener", "EdgeTLS", "VirtualHost", "upstream_key", "with_ready"]


class Certificate(msgspec.Struct, frozen=True):
    """A certificate chain and its private key: as PEM text, or (with `files`) as paths on the gateway's host."""

    name: str
    chain: str
    key: str
    files: bool = False


class EdgeTLS(msgspec.Struct, frozen=True):
    """TLS of a listener. Without certificates and without `sds` the gateway shows its own leaf."""

    certificates: tuple[Certificate, ...] = ()
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    #: A certificate that Envoy is given by somebody else.
    sds: SDS | None = None


class VirtualHost(msgspec.Struct, frozen=True):
    """Requests for some hosts. `domains` have no port unless somebody wrote one: `a.example.com`, `*.example.com`,
    `web.ingress.*`, `*`; `upstream` is the key of an outbound."""

    name: str
    domains: tuple[str, ...]
    upstream: str
    request: HeaderModifiers | None = None
    response: HeaderModifiers | None = None
    #: A certificate for these hosts alone, that Envoy is given by somebody else.
    sds: SDS | None = None
    #: The tokens that requests have to bring, for each route of the upstream's router in order; () for none at all.
    tokens: tuple[IntentionJWT | None, ...] = ()


class EdgeListener(msgspec.Struct, frozen=True):
    """One port, at every address of the gateway. `upstream` is the key of the one outbound behind a TCP listener."""

    name: str
    port: int
    protocol: str = "tcp"
    tls: EdgeTLS | None = None
    hosts: tuple[VirtualHost, ...] = ()
    upstream: str = ""
    #: The gateway's own port: it says at /ready that it lives. An Envoy has such a listener from its bootstrap.
    ready: bool = False

    @property
    def is_http(self) -> bool:
        """Whether requests are routed, not connections."""
        return self.protocol != "tcp"


class Edge(msgspec.Struct, frozen=True, tag="edge"):
    """An ingress or API gateway. `problems` say in words what of its entries cannot be served."""

    addresses: tuple[str, ...]
    listeners: tuple[EdgeListener, ...] = ()
    problems: tuple[str, ...] = ()

    def shown(self) -> Any:
        """As builtins, without private keys."""
        hidden = [_hidden(one) for one in self.listeners]
        return msgspec.to_builtins(msgspec.structs.replace(self, listeners=tuple(hidden)))


def _hidden(listener: EdgeListener) -> EdgeListener:
    tls = listener.tls
    if tls is None:
        return listener
    certificates: Iterable[Certificate] = (
        one if one.files else msgspec.structs.replace(one, key="hidden") for one in tls.certificates
    )
    return msgspec.structs.replace(listener, tls=msgspec.structs.replace(tls, certificates=tuple(certificates)))


def with_ready(port: int, listeners: Iterable[EdgeListener]) -> tuple[EdgeListener, ...]:
    """Listeners, with one for the port of the gateway's registration where no other has it (0: there is none)."""
    found = tuple(listeners)
    if not port or any(one.port == port for one in found):
        return found
    return (*found, EdgeListener("ready", port, "http", ready=True))


def upstream_key(listener: str, name: str) -> str:
    """The key of an outbound that takes what a listener hands over."""
    return f"gateway:{listener}:{name}"

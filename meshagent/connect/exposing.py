"""Paths of an application that are reached through its sidecar without mutual TLS. Values of a snapshot; pure.

They come from `Expose.Paths`, and with `Expose.Checks` from the HTTP and gRPC checks of the service. Those of checks
are for the agent alone: nobody from another host may ask.

Source: surface rows M8, K21, X11; expose-checks.json of the golden mesh data (addresses, who may ask, exact paths).
What may change here: fields are added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshagent.catalog.model import ExposePath, Service

__all__ = ["Exposed", "exposed_of"]

_LOOPBACK = ("127.0.0.0/8", "::1/128")


class Exposed(msgspec.Struct, frozen=True):
    """One listener with one path (exact, without a query). `protocol` is http or http2; `sources` are the networks that
    may ask, () for everybody."""

    address: str
    port: int
    path: str
    local_address: str
    local_port: int
    local_socket: str = ""
    protocol: str = "http"
    sources: tuple[str, ...] = ()


def exposed_of(
    service: Service, address: str, checks: Iterable[ExposePath] = (), host_address: str = ""
) -> tuple[Exposed, ...]:
    """The listeners of a sidecar's registration at `address`; of several for one port the first counts.

    `checks` are paths made of checks; `host_address` is where the agent comes from when not from loopback.
    """
    proxy = service.proxy
    from_host = (*_LOOPBACK, *((f"{host_address}/{128 if ':' in host_address else 32}",) if host_address else ()))
    found: dict[int, Exposed] = {}
    for one in (*(proxy.expose.paths or ()), *(checks if proxy.expose.checks else ())):
        application = one.local_path_port == proxy.local_service_port
        if one.listener_port and one.path and one.listener_port not in found:
            found[one.listener_port] = Exposed(
                address=address,
                port=one.listener_port,
                path=one.path,
                local_address=(application and proxy.local_service_address) or "127.0.0.1",
                local_port=one.local_path_port,
                local_socket=proxy.local_service_socket_path if application else "",
                protocol=one.protocol.lower() or "http",
                sources=from_host if one.parsed_from_check else (),
            )
    return tuple(found.values())

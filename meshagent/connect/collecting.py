"""The collector to which the Envoys of a mesh push their metrics: an upstream that nobody registers. Pure.

An Envoy pushes to a socket of its own (its bootstrap says so), and a listener there takes the metrics to the service
`consul-telemetry-collector`, through the mesh like everything else.

Source: surface row M73 (`envoy_telemetry_collector_bind_socket_dir`); consul-dataplane (how the socket is called). What
may change here: nothing, both ends have to agree.
"""

from __future__ import annotations

import base64
import hashlib

from meshagent.catalog.model import Service, Upstream

__all__ = ["collector_of", "socket_at"]

_SERVICE, _KEY = "consul-telemetry-collector", "envoy_telemetry_collector_bind_socket_dir"


def socket_at(directory: str, proxy_id: str, namespace: str = "") -> str:
    """Where one proxy pushes to: short, for the path of a socket ends at 104 characters."""
    digest = hashlib.sha1(f"{namespace or 'default'}_{proxy_id}".encode(), usedforsecurity=False).digest()
    return f"{directory.rstrip('/')}/{base64.urlsafe_b64encode(digest).decode().rstrip('=')}.sock"


def collector_of(service: Service) -> tuple[Upstream, ...]:
    """The upstream of a proxy whose configuration has a directory for the socket; none for others."""
    directory = (service.proxy.config or {}).get(_KEY)
    if not isinstance(directory, str) or not directory:
        return ()
    path = socket_at(directory, service.id)
    return (Upstream(destination_name=_SERVICE, local_bind_socket_path=path, config={"protocol": "grpc"}),)

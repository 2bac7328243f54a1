"""Clusters of servers outside of the mesh that an Envoy itself asks: for keys, with spans. Pure.

Source: surface rows M35, M73; Envoy's Cluster and UpstreamTlsContext. What may change here: ways to trust.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from meshagent.connect.envoy import durations
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["SYSTEM", "server"]

#: Trust in whom everybody trusts: where Debian, Alpine and most images have them.
SYSTEM: Resource = {"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"}}
_CONNECT_TIMEOUT_NS = 5_000_000_000


def server(
    name: str, uri: str, *, kind: str = "STRICT_DNS", connect_timeout_ns: int = 0, validation: Resource | None = None
) -> Resource:
    """The cluster of the server of a URI; with https it has to be vouched for as `validation` says."""
    url = urlsplit(uri)
    host = url.hostname or ""
    port = _port(uri) or (443 if url.scheme == "https" else 80)
    place = {"socket_address": {"address": host, "port_value": port}}
    found: Resource = {
        "name": name,
        "type": kind,
        "connect_timeout": durations.of_nanoseconds(connect_timeout_ns or _CONNECT_TIMEOUT_NS),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": place}}]}],
        },
    }
    if url.scheme == "https":
        tls = {"common_tls_context": {"validation_context": validation or SYSTEM}, "sni": host}
        message = typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", tls)
        found["transport_socket"] = {"name": "tls", "typed_config": message}
    return found


def _port(uri: str) -> int:
    """The port of a URI, 0 where it names none that there can be."""
    try:
        return urlsplit(uri).port or 0
    except ValueError:
        return 0

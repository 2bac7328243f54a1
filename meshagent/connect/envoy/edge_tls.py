"""TLS of an ingress or API gateway towards the world: its leaf, certificates of entries or files, or somebody's SDS.

With several certificates each has a filter chain for its own names; the leaf, or the certificates whose names are not
known here (files of the gateway's host), are for the rest.

Source: surface rows M27, M31, M34, X15, X16; ingress.json and api-gateway.json of the golden mesh data; envoyproxy.io
`transport_sockets.tls.v3`. What may change here: other places of certificates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from meshagent.catalog.entries.ingress_gateway import SDS
from meshagent.connect.envoy import tls
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.gateways.edge import Certificate, EdgeListener, EdgeTLS
from meshagent.connect.mesh_settings import TlsBounds
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

__all__ = ["INSPECTOR", "Shown", "shown", "socket_of_sds"]

#: Reads the server name before a filter chain is chosen.
INSPECTOR: Resource = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}
#: What a server of Envoy speaks at least where nobody says it.
_LEAST = "TLSv1_2"


class Shown(msgspec.Struct, frozen=True):
    """One way to shake hands: its name in statistics ("": the listener's own), the server names it is for (() for all
    others), the transport socket."""

    name: str
    server_names: tuple[str, ...]
    socket: Resource


def shown(snapshot: ProxySnapshot, listener: EdgeListener, settings: EdgeTLS) -> tuple[Shown, ...]:
    """The ways of a listener, the one for everybody last."""
    alpn = tls.alpn_of(listener.protocol)
    if settings.sds is not None:
        return (Shown("", (), socket_of_sds(settings, settings.sds, alpn)),)
    if not settings.certificates:
        return (Shown("", (), _of_leaf(snapshot, settings, alpn)),)
    if len(settings.certificates) == 1:
        (only,) = settings.certificates
        return (Shown(only.name, (), _of_certificates(settings, [only], alpn)),)
    inline = [one for one in settings.certificates if not one.files]
    files = [one for one in settings.certificates if one.files]
    taken: set[str] = set()
    found = []
    for one in inline:
        names = tuple(name for name in _names(one) if name not in taken)
        taken.update(names)
        if names:
            found.append(Shown(one.name, names, _of_certificates(settings, [one], alpn)))
    rest = _of_certificates(settings, files, alpn) if files else _of_leaf(snapshot, settings, alpn)
    return (*found, Shown("default", (), rest))


def socket_of_sds(settings: EdgeTLS, sds: SDS, alpn: Sequence[str]) -> Resource:
    """A certificate that the cluster `ClusterName` of the bootstrap serves."""
    service = {"envoy_grpc": {"cluster_name": sds.cluster_name}, "timeout": "5s"}
    source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    config = {"api_config_source": source, "resource_api_version": "V3"}
    secret = {"name": sds.cert_resource, "sds_config": config}
    return _socket({"tls_params": _params(settings), "tls_certificate_sds_secret_configs": [secret]}, alpn)


def _of_leaf(snapshot: ProxySnapshot, settings: EdgeTLS, alpn: Sequence[str]) -> Resource:
    bounds = TlsBounds(settings.min_version, settings.max_version, settings.cipher_suites)
    common: Resource = {
        "tls_params": tls.params(bounds),
        "tls_certificates": [tls.certificate(snapshot.leaf_chain, snapshot.leaf_key)],
        "validation_context": tls.validation(snapshot.roots),
    }
    return _socket(common, alpn)


def _of_certificates(settings: EdgeTLS, certificates: Iterable[Certificate], alpn: Sequence[str]) -> Resource:
    found = [
        {"certificate_chain": {"filename": one.chain}, "private_key": {"filename": one.key}}
        if one.files
        else tls.certificate(one.chain, one.key)
        for one in certificates
    ]
    return _socket({"tls_params": _params(settings), "tls_certificates": found}, alpn)


def _params(settings: EdgeTLS) -> Resource:
    least = "" if settings.min_version == _LEAST else settings.min_version
    return tls.params(TlsBounds(least, settings.max_version, settings.cipher_suites))


def _socket(common: Resource, alpn: Sequence[str]) -> Resource:
    if alpn:
        common["alpn_protocols"] = list(alpn)
    return tls.socket("DownstreamTlsContext", {"common_tls_context": common, "require_client_certificate": False})


def _names(certificate: Certificate) -> tuple[str, ...]:
    from meshagent.connect.certs import facts  # 10 MB, for who has several

    try:
        return facts(certificate.chain.encode()).dns_names
    except MeshError:
        return ()

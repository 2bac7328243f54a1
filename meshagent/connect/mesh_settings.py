"""What the `mesh` entry and a service's `MutualTLSMode` mean to one proxy. Values of its snapshot; pure.

Permissive mutual TLS needs both: the mode of the service (or of `proxy-defaults`) and the consent of the `mesh` entry,
looked at each time. Consul asks for the consent only when the mode is written; here taking it back closes the door.

Source: surface rows M21, M22, M29, X10; developer.hashicorp.com/consul/docs/connect/config-entries/mesh. What may
change here: fields are added with a default, the default being what holds without any entry.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.entries.mesh import DirectionTLS, Mesh
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.service_defaults import ServiceDefaults

__all__ = ["MeshSettings", "Normalization", "TlsBounds", "mesh_settings"]


class TlsBounds(msgspec.Struct, frozen=True):
    """TLS one way, in Envoy's words (`TLSv1_2`); "" and () leave it to the proxy."""

    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()


class Normalization(msgspec.Struct, frozen=True):
    """What is done to a request that comes in before anybody looks at its path or headers."""

    path: bool = True
    merge_slashes: bool = False
    #: "", KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_REDIRECT or UNESCAPE_AND_FORWARD.
    escaped_slashes: str = ""
    #: "", ALLOW, REJECT_REQUEST or DROP_HEADER.
    underscores: str = ""


class MeshSettings(msgspec.Struct, frozen=True):
    """`permissive`: connections without TLS reach the application."""

    permissive: bool = False
    incoming: TlsBounds = TlsBounds()
    outgoing: TlsBounds = TlsBounds()
    #: No `x-forwarded-client-cert` reaches the application, neither a client's nor ours.
    sanitize_xfcc: bool = False
    normalization: Normalization = Normalization()
    #: Refuse routes to clusters that are not there, in place of answering their requests with an error; Envoy's alone.
    validate_clusters: bool = False


def mesh_settings(mesh: Mesh | None, everyone: ProxyDefaults | None, own: ServiceDefaults | None) -> MeshSettings:
    """From the `mesh` entry, `proxy-defaults` and the service's own `service-defaults`; the last goes before."""
    if mesh is None:
        return MeshSettings()
    mode = own.mutual_tls_mode if own is not None else ""
    if not mode and everyone is not None:
        mode = everyone.mutual_tls_mode
    http = mesh.http
    rules = http.incoming.request_normalization if http is not None and http.incoming is not None else None
    return MeshSettings(
        permissive=mode == "permissive" and mesh.allow_enabling_permissive_mutual_tls,
        incoming=_bounds(mesh.tls.incoming if mesh.tls is not None else None),
        outgoing=_bounds(mesh.tls.outgoing if mesh.tls is not None else None),
        sanitize_xfcc=http is not None and http.sanitize_x_forwarded_client_cert,
        normalization=Normalization()
        if rules is None
        else Normalization(
            path=not rules.insecure_disable_path_normalization,
            merge_slashes=rules.merge_slashes,
            escaped_slashes=rules.path_with_escaped_slashes_action,
            underscores=rules.headers_with_underscores_action,
        ),
        validate_clusters=mesh.validate_clusters,
    )


def _bounds(tls: DirectionTLS | None) -> TlsBounds:
    return TlsBounds() if tls is None else TlsBounds(tls.tls_min_version, tls.tls_max_version, tls.cipher_suites)

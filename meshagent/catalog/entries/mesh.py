"""`mesh`: settings of the whole mesh; its only name is `mesh`, and it is not written.

Source: surface row M29; developer.hashicorp.com/consul/docs/connect/config-entries/mesh. What may change here: fields
are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, Part, tls_problem
from meshagent.catalog.model import always

__all__ = ["Mesh"]

_SLASHES = (
    "",
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
)
_UNDERSCORES = ("", "ALLOW", "REJECT_REQUEST", "DROP_HEADER")


class MeshTransparentProxy(Part, frozen=True, kw_only=True):
    """Transparent proxies of the mesh."""

    mesh_destinations_only: bool = always(False)


class DirectionTLS(Part, frozen=True, kw_only=True):
    """TLS one way."""

    tls_min_version: str = ""
    tls_max_version: str = ""
    cipher_suites: tuple[str, ...] = ()


class MeshTLS(Part, frozen=True, kw_only=True):
    """TLS between proxies."""

    incoming: DirectionTLS | None = None
    outgoing: DirectionTLS | None = None


class RequestNormalization(Part, frozen=True, kw_only=True):
    """What a proxy does to a request before it is matched."""

    insecure_disable_path_normalization: bool = False
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = ""
    headers_with_underscores_action: str = ""


class IncomingHTTP(Part, frozen=True, kw_only=True):
    """HTTP that comes in."""

    request_normalization: RequestNormalization | None = None


class MeshHTTP(Part, frozen=True, kw_only=True):
    """HTTP of all proxies."""

    sanitize_x_forwarded_client_cert: bool = always(False)
    incoming: IncomingHTTP | None = None


class MeshPeering(Part, frozen=True, kw_only=True):
    """Peering of the mesh."""

    peer_through_mesh_gateways: bool = False


class Mesh(Entry, frozen=True, kw_only=True, tag="mesh"):
    """Settings of the mesh."""

    name: str = "mesh"
    transparent_proxy: MeshTransparentProxy = always(MeshTransparentProxy())
    allow_enabling_permissive_mutual_tls: bool = False
    validate_clusters: bool = False
    tls: MeshTLS | None = None
    http: MeshHTTP | None = None
    peering: MeshPeering | None = None

    def problem(self) -> str:
        if self.tls is not None:
            for word, tls in (("incoming", self.tls.incoming), ("outgoing", self.tls.outgoing)):
                found = tls_problem(tls.tls_min_version, tls.tls_max_version, tls.cipher_suites) if tls else ""
                if found:
                    return f"error in {word} TLS configuration: {found}"
        incoming = self.http.incoming if self.http is not None else None
        rules = incoming.request_normalization if incoming is not None else None
        if rules is None:
            return ""
        for field, value, known in (
            ("PathWithEscapedSlashesAction", rules.path_with_escaped_slashes_action, _SLASHES),
            ("HeadersWithUnderscoresAction", rules.headers_with_underscores_action, _UNDERSCORES),
        ):
            if value not in known:
                return f"no matching {field} value found for {value}, please specify one of [{', '.join(known[1:])}]"
        return ""

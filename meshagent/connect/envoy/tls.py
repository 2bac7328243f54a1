"""TLS of Envoy's listeners and clusters: certificates in line, so that a new one is a new resource and nothing waits.

Source: envoyproxy.io `transport_sockets.tls.v3`; surface rows X5, X12, M29; the recorded resources. What may change
here: further kinds of sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshagent.connect.cipher_suites import openssl_name
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.mesh_settings import TlsBounds
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["alpn_of", "certificate", "downstream", "params", "roots_for", "socket", "upstream", "validation"]

#: The path of an identity that no certificate has.
_NOBODY = "/nobody"
_TLS = "envoy.extensions.transport_sockets.tls.v3."


def alpn_of(protocol: str) -> tuple[str, ...]:
    """What is offered by the listener of an application that speaks `protocol`."""
    return {"http": ("http/1.1",), "http2": ("h2", "http/1.1"), "grpc": ("h2", "http/1.1")}.get(protocol, ())


def certificate(chain: str, key: str) -> Resource:
    """A certificate chain with its private key, both PEM."""
    return {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}


def validation(roots: Sequence[str], identities: Iterable[str] = ()) -> Resource:
    """Whose certificates count: signed by one of `roots` (PEM), for one of `identities` (SPIFFE ids) where given."""
    found: Resource = {"trusted_ca": {"inline_string": "".join(_line(root) for root in roots)}}
    names = [{"san_type": "URI", "matcher": {"exact": one}} for one in identities]
    return {**found, "match_typed_subject_alt_names": names} if names else found


def _by_domain(roots: dict[str, Sequence[str]]) -> Resource:
    """Certificates of several trust domains: each is vouched for by its own roots only."""
    bundles = [
        {"name": domain, "trust_bundle": {"inline_string": "".join(map(_line, roots[domain]))}}
        for domain in sorted(roots)
    ]
    config = typed(_TLS + "SPIFFECertValidatorConfig", {"trust_domains": bundles})
    return {"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": config}}


def params(bounds: TlsBounds) -> Resource:
    """Versions and cipher suites."""
    found: Resource = {}
    if bounds.min_version not in {"", "TLS_AUTO"}:
        found["tls_minimum_protocol_version"] = bounds.min_version
    if bounds.max_version not in {"", "TLS_AUTO"}:
        found["tls_maximum_protocol_version"] = bounds.max_version
    if bounds.cipher_suites:
        found["cipher_suites"] = [openssl_name(one) for one in bounds.cipher_suites]
    return found


def downstream(snapshot: ProxySnapshot, alpn: Sequence[str] = ()) -> Resource:
    """The socket of the public listener: everybody shows a certificate of the mesh, or of a peer that may call."""
    callers = {one.trust_domain: one.roots for one in snapshot.trusts if one.incoming}
    whose = validation(snapshot.roots)
    if callers:
        whose = _by_domain({**callers, snapshot.trust_domain: snapshot.roots})
    common = _common(snapshot, snapshot.mesh.incoming, whose)
    if alpn:
        common["alpn_protocols"] = list(alpn)
    return socket("DownstreamTlsContext", {"common_tls_context": common, "require_client_certificate": True})


def upstream(snapshot: ProxySnapshot, sni: str, identities: Iterable[str], peer: str = "") -> Resource:
    """The socket towards services of the mesh, or of a peer: only instances with one of the identities count.

    Without an identity nobody does: an Envoy that is told no names takes everybody whom the roots vouch for, and one
    that is told no roots takes everybody.
    """
    nobody = f"spiffe://{snapshot.trust_domain}{_NOBODY}"
    roots = roots_for(snapshot, peer)
    wanted = tuple(identities) if roots else ()
    whose = validation(roots or snapshot.roots, wanted or (nobody,))
    common = _common(snapshot, snapshot.mesh.outgoing, whose)
    return socket("UpstreamTlsContext", {"common_tls_context": common, "sni": sni})


def socket(kind: str, context: Resource) -> Resource:
    """A transport socket with a context of that kind."""
    return {"name": "tls", "typed_config": typed(_TLS + kind, context)}


def roots_for(snapshot: ProxySnapshot, peer: str) -> tuple[str, ...]:
    """The roots that vouch for services of a peer, or of this mesh."""
    if not peer:
        return snapshot.roots
    return next((one.roots for one in snapshot.trusts if one.peer == peer), ())


def _common(snapshot: ProxySnapshot, bounds: TlsBounds, whose: Resource) -> Resource:
    return {
        "tls_params": params(bounds),
        "tls_certificates": [certificate(snapshot.leaf_chain, snapshot.leaf_key)],
        "validation_context": whose,
    }


def _line(root: str) -> str:
    return root if root.endswith("\n") else root + "\n"

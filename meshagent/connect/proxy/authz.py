"""Who may come in: the identity of a peer's certificate against the intentions of a snapshot. Pure.

Source: surface rows M50, M52, M61. A certificate of another trust domain or datacenter form is refused whatever the
intentions say, but for that of a peer whose roots verified it (`Tls.identity` sees to that). What may change here:
further forms of identities.
"""

from __future__ import annotations

from meshagent.connect import spiffe
from meshagent.connect.intentions import Decision, Default, decide
from meshagent.connect.permissions import HttpRequest, Tokens, decide_request
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import RemoteProtocolError

__all__ = ["authorize", "authorize_request", "refused", "source_of"]


def refused(snapshot: ProxySnapshot, uri: str) -> str:
    """Why the holder of a verified certificate with this URI is no peer of the mesh at all, "" when he is one."""
    try:
        identity = spiffe.parse(uri)
    except RemoteProtocolError:
        return "the certificate names no SPIFFE id"
    if identity.kind != spiffe.SERVICE:
        return "the certificate is not a service's"
    if identity.trust_domain != snapshot.trust_domain and not _peer_of(snapshot, identity.trust_domain):
        return f"the certificate is of the trust domain {identity.trust_domain}"
    return ""


def _peer_of(snapshot: ProxySnapshot, trust_domain: str) -> str:
    """The peer that may call from that trust domain; "" for none, and for this cluster's own."""
    if trust_domain == snapshot.trust_domain:
        return ""
    return next((one.peer for one in snapshot.trusts if one.incoming and one.trust_domain == trust_domain), "")


def authorize(snapshot: ProxySnapshot, uri: str) -> Decision:
    """Whether the holder of a verified certificate with this URI may connect to the snapshot's service."""
    return _decide(snapshot, uri, None)


def authorize_request(
    snapshot: ProxySnapshot, uri: str, request: HttpRequest, tokens: Tokens = lambda _: False
) -> Decision:
    """Whether he may send this request to it. `tokens` says which required tokens the request has."""
    return _decide(snapshot, uri, request, tokens)


def source_of(uri: str) -> str:
    """The service that a URI names, "" when it names none."""
    try:
        return spiffe.parse(uri).name
    except RemoteProtocolError:
        return ""


def _decide(snapshot: ProxySnapshot, uri: str, request: HttpRequest | None, tokens: Tokens | None = None) -> Decision:
    reason = refused(snapshot, uri)
    if reason:
        return Decision(False, reason)
    identity = spiffe.parse(uri)
    default = Default(snapshot.default_allow, snapshot.default_reason)
    if (identity.namespace, identity.partition) != ("default", "default"):
        return Decision(default.allow, default.reason)
    peer = _peer_of(snapshot, identity.trust_domain)
    if request is None:
        return decide(snapshot.intentions, identity.name, snapshot.service, default, peer)
    return decide_request(snapshot.intentions, identity.name, snapshot.service, request, default, peer, tokens)

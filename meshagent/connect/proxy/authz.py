"""Who may come in: the identity of a peer's certificate against the intentions of a snapshot. Pure.

Source: surface rows M50, M52, M61. A certificate of another trust domain or datacenter form is refused whatever the
intentions say. What may change here: peers.
"""

from __future__ import annotations

from meshagent.connect import spiffe
from meshagent.connect.intentions import Decision, Default, decide
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import RemoteProtocolError

__all__ = ["authorize", "identify"]


def identify(snapshot: ProxySnapshot, uri: str) -> spiffe.SpiffeID | Decision:
    """The service that a verified certificate with this URI speaks for; a denial when it speaks for none of ours."""
    try:
        identity = spiffe.parse(uri)
    except RemoteProtocolError:
        return Decision(False, "the certificate names no SPIFFE id")
    if identity.kind != spiffe.SERVICE:
        return Decision(False, "the certificate is not a service's")
    if identity.trust_domain != snapshot.trust_domain:
        return Decision(False, f"the certificate is of the trust domain {identity.trust_domain}")
    return identity


def authorize(snapshot: ProxySnapshot, uri: str) -> Decision:
    """Whether the holder of a verified certificate with this URI may connect to the snapshot's service."""
    identity = identify(snapshot, uri)
    if isinstance(identity, Decision):
        return identity
    default = Default(snapshot.default_allow, snapshot.default_reason)
    if (identity.namespace, identity.partition) != ("default", "default"):
        return Decision(default.allow, default.reason)
    return decide(snapshot.intentions, identity.name, snapshot.service, default)

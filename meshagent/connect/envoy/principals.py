"""Who asks, in Envoy's words: identities of certificates, and what tokens say. Pure.

An identity is an expression over the URI of a certificate, `*` is any service of the trust domain. Requests of a
peer's service may also come through a mesh gateway of this cluster, which tells in `x-forwarded-client-cert` whom it
verified. Claims stand in the metadata that the filter of tokens leaves.

Source: surface row X7; the recorded resources of a real Consul (golden mesh data, xds); Envoy's Principal, Permission
and MetadataMatcher. What may change here: further identities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef
from meshagent.connect.envoy.request_matchers import expression, literal
from meshagent.connect.envoy.resources import Resource
from meshagent.connect.peers import Trust

__all__ = ["JWT_FILTER", "Identities", "all_of", "any_of", "negated", "payload_key", "token"]

JWT_FILTER = "envoy.filters.http.jwt_authn"
_ANY = "[^/]+"
#: Word in front of combinations: principals have ids, permissions have rules.
_IDS, _RULES = "ids", "rules"


class Identities:
    """The services that may ask: of this trust domain, and of peers whose services may call."""

    def __init__(self, trust_domain: str, trusts: Sequence[Trust] = (), *, http: bool = False) -> None:
        self._own = trust_domain
        self._peers = {one.peer: one.trust_domain for one in trusts if one.incoming}
        self._http = http

    def of(self, source: str, peer: str = "") -> Resource | None:
        """A service, `*` for any; None for one of a peer whose services may not call."""
        if not peer:
            return _certificate(f"^{_service(self._own, source)}$")
        domain = self._peers.get(peer)
        if domain is None:
            return None
        service = _service(domain, source)
        direct = _certificate(f"^{service}$")
        if not self._http:
            return direct
        gateway = _certificate(f"^spiffe://{self._own}/gateway/mesh/dc/{_ANY}$")
        told = {
            "header": {
                "name": "x-forwarded-client-cert",
                "string_match": expression(f"^[^,]+;URI={service}(?:,.*)?$"),
            }
        }
        return any_of([direct, all_of([gateway, told], _IDS)], _IDS)


def _service(domain: str, source: str) -> str:
    name = _ANY if source == "*" else literal(quote(source, safe="!$&'()*+,;=:@"))
    return f"spiffe://{domain}/ns/default/dc/{_ANY}/svc/{name}"


def _certificate(pattern: str) -> Resource:
    return {"authenticated": {"principal_name": expression(pattern)}}


def all_of(parts: list[Resource], word: str = _RULES) -> Resource:
    """All of some principals ("ids") or permissions ("rules"); the one when it is one, anybody when there is none."""
    if not parts:
        return {"any": True}
    return parts[0] if len(parts) == 1 else {f"and_{word}": {word: parts}}


def any_of(parts: list[Resource], word: str = _RULES) -> Resource:
    """One of some principals or permissions at least."""
    return parts[0] if len(parts) == 1 else {f"or_{word}": {word: parts}}


def negated(part: Resource, word: str = _RULES) -> Resource:
    """Not this principal or permission."""
    return {"not_id" if word == _IDS else "not_rule": part}


def payload_key(provider: str) -> str:
    """Under which key of the metadata the claims of a provider's token stand."""
    return f"jwt_payload_{provider}"


def token(required: IntentionJWT, issuers: Mapping[str, str], word: str = _RULES) -> Resource:
    """A good token of one of the providers, with the claims; nobody has one of a provider that is not there."""
    parts = [_of_provider(ref, issuers[ref.name], word) for ref in required.providers if ref.name in issuers]
    return any_of(parts, word) if parts else negated({"any": True}, word)


def _of_provider(ref: JWTProviderRef, issuer: str, word: str) -> Resource:
    parts = [_claim(ref.name, ("iss",), issuer)]
    claims = [_claim(ref.name, claim.path, claim.value) for claim in ref.verify_claims]
    if claims or word == _RULES:
        parts.append(all_of(claims, word))
    return all_of(parts, word)


def _claim(provider: str, path: Sequence[str], value: str) -> Resource:
    return {
        "metadata": {
            "filter": JWT_FILTER,
            "path": [{"key": key} for key in (payload_key(provider), *path)],
            "value": {"string_match": {"exact": value}},
        }
    }

"""Who asks, in Envoy's words."""

from __future__ import annotations

from typing import Any

from meshtest.envoyrules import Asked, rbac_allows

from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef, VerifyClaim
from meshagent.connect import spiffe
from meshagent.connect.envoy.principals import Identities, all_of, any_of, negated, token


def fits(principal: Any, asked: Asked) -> bool:
    return rbac_allows({"policies": {"p": {"permissions": [{"any": True}], "principals": [principal]}}}, asked)


def test_a_name_is_no_expression() -> None:
    for name, other in (("web.a", "webXa"), ("a b", "a%20b"), ("w(eb", "web"), ("a+", "aa")):
        identity = Identities("td").of(name)
        assert identity is not None
        assert fits(identity, Asked(spiffe.format(spiffe.service_id("td", "dc1", name))))
        assert not fits(identity, Asked(spiffe.format(spiffe.service_id("td", "dc1", other))))


def test_of_an_unknown_peer_nobody_comes() -> None:
    assert Identities("td").of("web", "east") is None


def test_combinations_of_one_and_none() -> None:
    one = {"any": False}
    assert all_of([]) == {"any": True}
    assert all_of([one]) == any_of([one]) == one
    assert negated(one, "ids") == {"not_id": one}


def required(name: str = "idp", *claims: VerifyClaim) -> IntentionJWT:
    return IntentionJWT(providers=(JWTProviderRef(name=name, verify_claims=claims),))


def test_tokens() -> None:
    issuers = {"idp": "i"}
    claim = VerifyClaim(path=("a", "b"), value="x")
    good = Asked(tokens={"idp": {"iss": "i", "a": {"b": "x"}}})
    for word in ("ids", "rules"):
        assert fits(token(required("idp", claim), issuers, word), good)
        assert fits(token(required(), issuers, word), good)
        assert not fits(token(required("idp", claim), issuers, word), Asked(tokens={"idp": {"iss": "i", "a": "x"}}))
        assert not fits(token(required(), issuers, word), Asked(tokens={"idp": {"iss": "other"}}))
        assert not fits(token(required("gone"), issuers, word), good)

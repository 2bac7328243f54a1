from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from meshtest import certificates

from meshagent.agent.auto import introductions
from meshagent.agent.auto.introductions import Introductions, join_token
from meshagent.agent.config.security import AutoConfigStatic
from meshagent.catalog.acl.jwt_tokens import load_keys, sign
from meshagent.errors import ConfigError, Denied

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AUTHORITY = certificates.make_ca()
PEM = AUTHORITY.pem.decode()
KEY = AUTHORITY.key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
KEYS = load_keys([PEM])


def static(**given: Any) -> AutoConfigStatic:
    return AutoConfigStatic().replace(**given)


def jwt(**claims: Any) -> str:
    return sign({"exp": int((NOW + timedelta(hours=1)).timestamp()), **claims}, KEY, "ES256")


def token(node: str = "", ttl_s: float = 60.0) -> str:
    return join_token(["10.0.0.1"], PEM, "dc1", node, NOW, ttl_s, KEY, "ES256")


class TestJoinTokens:
    def test_one_for_anybody_and_one_for_a_node(self) -> None:
        rules = Introductions(static())
        rules.judge(token(), "c1", KEYS, NOW)
        rules.judge(token("c1"), "c1", KEYS, NOW)
        with pytest.raises(Denied, match="another node"):
            rules.judge(token("c1"), "c2", KEYS, NOW)

    def test_it_ends(self) -> None:
        with pytest.raises(Denied, match="expired"):
            Introductions(static()).judge(token(), "c1", KEYS, NOW + timedelta(minutes=10))

    def test_it_tells_the_client_what_it_needs(self) -> None:
        told = introductions.claims_of_token(token())
        assert told == {"servers": ("10.0.0.1",), "authority": PEM, "datacenter": "dc1"}
        assert introductions.claims_of_token(jwt(iss="somebody")) == {}
        assert introductions.claims_of_token("no token") == {}
        with pytest.raises(ConfigError):
            introductions.claims_of_token(jwt(iss=introductions.ISSUER))

    def test_other_tokens_of_the_same_key_are_not_taken(self) -> None:
        with pytest.raises(Denied):
            Introductions(static()).judge(jwt(), "c1", KEYS, NOW)

    def test_with_keys_of_the_configuration_they_are_not_taken(self) -> None:
        rules = Introductions(static(jwt_validation_pub_keys=(PEM,), bound_audiences=("x",)))
        assert not rules.own
        with pytest.raises(Denied):
            rules.judge(token(), "c1", KEYS, NOW)


class TestAssertions:
    RULES = Introductions(
        static(
            jwt_validation_pub_keys=(PEM,),
            bound_issuer="idp",
            bound_audiences=("mesh",),
            claim_mappings={"host": "host"},
            list_claim_mappings={"groups": "groups"},
            claim_assertions=('value.host == "${node}"', '"agents" in list.groups'),
        )
    )

    def judge(self, node: str = "c1", **claims: Any) -> None:
        given = {"iss": "idp", "aud": "mesh", "host": "c1", "groups": ["agents"], **claims}
        self.RULES.judge(jwt(**given), node, KEYS, NOW)

    def test_all_hold(self) -> None:
        self.judge()

    @pytest.mark.parametrize("claims", [{"host": "c2"}, {"groups": ["x"]}, {"groups": []}, {"host": None}])
    def test_one_does_not(self, claims: dict[str, Any]) -> None:
        with pytest.raises(Denied, match="claim assertion"):
            self.judge(**claims)

    @pytest.mark.parametrize("node", ['c1" or "a" == "a', "", "a b", "x" * 300, "${node}"])
    def test_a_name_that_would_change_the_expression_is_refused(self, node: str) -> None:
        with pytest.raises(Denied, match="no name"):
            self.judge(node)

    @pytest.mark.parametrize(
        ("assertion", "word"),
        [("value.x ==", ""), ('value.x == "${host}"', "unknown variable"), ('other.x == "a"', "Selector")],
    )
    def test_problems_are_found_before_a_client_comes(self, assertion: str, word: str) -> None:
        assert word in introductions.assertion_problem(assertion)
        assert introductions.assertion_problem(assertion)

    def test_good_ones_have_none(self) -> None:
        for assertion in self.RULES.static.claim_assertions:
            assert introductions.assertion_problem(assertion) == ""

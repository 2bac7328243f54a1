"""Tokens in Envoy's words: what a real Consul renders, and what it forgets."""

from __future__ import annotations

import base64
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from meshtest.envoygolden import TRUST_DOMAIN, entries, filters, recorded

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef, ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.envoy import jwt, wire
from meshagent.connect.envoy.resources import CLUSTER
from meshagent.connect.intentions import Intention, matching
from meshagent.connect.snapshot import ProxySnapshot

SIDECAR = "api-sidecar-proxy"


def provider(**fields: Any) -> JWTProvider:
    made = parse({"Kind": "jwt-provider", "Name": "idp", **fields})
    assert isinstance(made, JWTProvider)
    assert made.problem() == ""
    result: JWTProvider = made.normalised()
    return result


def remote(**fields: Any) -> JWTProvider:
    return provider(JSONWebKeySet={"Remote": {"URI": "https://idp.example:8443/keys", **fields}})


def cluster_of(**fields: Any) -> Any:
    (found,) = jwt.clusters_of([remote(**fields)]).values()
    assert wire.encode(found, CLUSTER)
    return found


class TestRecorded:
    """What Consul 1.20 renders."""

    def known(self) -> ProxySnapshot:
        found = entries("jwt")
        written = {one.name: one for one in found.values() if isinstance(one, ServiceIntentions)}
        return ProxySnapshot(
            SIDECAR, "api", "dc1", TRUST_DOMAIN, False, "",
            intentions=tuple(matching(written.get, "api")),
            jwt_providers=tuple(one for one in found.values() if isinstance(one, JWTProvider)),
        )  # fmt: skip

    def test_the_filter(self) -> None:
        snapshot = self.known()
        made = jwt.http(snapshot.intentions, snapshot.jwt_providers)
        (consul,) = filters("jwt", SIDECAR, "envoy.filters.http.jwt_authn")
        assert made is not None
        assert wire.encode(made["typed_config"])
        providers = made["typed_config"]["providers"]
        # What the entries say and Consul leaves out, or cuts to whole seconds.
        assert [providers[name].pop("clock_skew_seconds") for name in ("local", "remote")] == [45, 30]
        assert providers["local"].pop("jwt_cache_config") == {"jwt_cache_size": 20}
        assert providers["remote"]["remote_jwks"]["http_uri"].pop("timeout") == "1.5s"
        assert consul["typed_config"]["providers"]["remote"]["remote_jwks"]["http_uri"]["timeout"] == "1s"
        providers["remote"]["remote_jwks"]["http_uri"]["timeout"] = "1s"
        assert made == consul

    def test_the_cluster_of_the_keys(self) -> None:
        consul = dict(recorded("jwt")["proxies"][SIDECAR]["clusters"]["jwks_cluster_remote"])
        del consul["@type"]
        assert jwt.clusters(self.known()) == {"jwks_cluster_remote": consul}


def test_without_a_requirement_there_is_no_filter() -> None:
    assert jwt.http([Intention("web", "api", "allow", 9)], [remote()]) is None
    asks = Intention("web", "api", "allow", 9, jwt=IntentionJWT(providers=(JWTProviderRef(name="gone"),)))
    assert jwt.http([asks], [remote()]) is None


def test_one_provider_needs_no_list() -> None:
    found = jwt.filter_of([remote()])
    assert found is not None
    (rule,) = found["typed_config"]["rules"]
    assert list(rule["requires"]) == ["requires_any"]


def test_keys_in_a_file_and_without_anything() -> None:
    made = provider(JSONWebKeySet={"Local": {"Filename": "/keys.json"}})
    assert jwt.filter_of([made])["typed_config"]["providers"]["idp"]["local_jwks"] == {  # type: ignore[index]
        "filename": "/keys.json"
    }


def test_times_of_a_remote_provider() -> None:
    made = jwt.filter_of([remote(CacheDuration="5m", RequestTimeoutMs=250)])
    found = made["typed_config"]["providers"]["idp"]["remote_jwks"]  # type: ignore[index]
    assert (found["cache_duration"], found["http_uri"]["timeout"]) == ("300s", "0.25s")


class TestClusters:
    """How a key server is reached."""

    def test_the_system_vouches_unless_somebody_is_named(self) -> None:
        found = cluster_of()
        tls = found["transport_socket"]["typed_config"]
        assert (found["type"], found["connect_timeout"], tls["sni"]) == ("STRICT_DNS", "5s", "idp.example")
        assert tls["common_tls_context"]["validation_context"]["trusted_ca"]["filename"].endswith(".crt")

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"TrustedCA": {"Filename": "/ca.pem"}}, {"trusted_ca": {"filename": "/ca.pem"}}),
            ({"TrustedCA": {"InlineString": "pem"}}, {"trusted_ca": {"inline_string": "pem"}}),
            ({"TrustedCA": {"EnvironmentVariable": "CA"}}, {"trusted_ca": {"environment_variable": "CA"}}),
            ({"TrustedCA": {}}, {"trusted_ca": {"inline_string": ""}}),
            (
                {"CaCertificateProviderInstance": {"InstanceName": "i", "CertificateName": "c"}},
                {"ca_certificate_provider_instance": {"instance_name": "i", "certificate_name": "c"}},
            ),
        ],
    )
    def test_who_is_named(self, given: dict[str, Any], expected: dict[str, Any]) -> None:
        found = cluster_of(JWKSCluster={"TLSCertificates": given, "DiscoveryType": "LOGICAL_DNS"})
        context = found["transport_socket"]["typed_config"]["common_tls_context"]
        assert (found["type"], context["validation_context"]) == ("LOGICAL_DNS", expected)

    def test_without_tls(self) -> None:
        found = jwt.clusters_of([provider(JSONWebKeySet={"Remote": {"URI": "http://idp/keys"}})])["jwks_cluster_idp"]
        assert "transport_socket" not in found
        (endpoint,) = found["load_assignment"]["endpoints"][0]["lb_endpoints"]
        assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "idp", "port_value": 80}


@given(st.text(max_size=40), st.binary(max_size=20))
def test_any_uri_and_keys_are_rendered(uri: str, keys: bytes) -> None:
    given = JWTProvider(name="idp", json_web_key_set=remote().json_web_key_set)
    raw = {"Remote": {"URI": f"https://{uri}"}}
    made = parse({"Kind": "jwt-provider", "Name": "idp", "JSONWebKeySet": raw})
    assert isinstance(made, JWTProvider)
    if made.problem() == "":
        assert jwt.clusters_of([made, given])
    local = {"Local": {"JWKS": base64.b64encode(keys).decode() or "e30="}}
    assert jwt.filter_of([provider(JSONWebKeySet=local)])

"""Certificates of agents (surface row CL22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from meshagent.connect import certs
from meshagent.connect.agent_certs import agent_ca, agent_leaf
from meshagent.errors import BadRequest

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_an_authority_and_what_it_signs() -> None:
    ca, key = agent_ca(NOW, 1825, "", cluster_id="abc")
    assert certs.facts(ca).subject.startswith("CN=Consul Agent CA ")
    assert certs.facts(ca).uris == ("spiffe://abc.consul",)
    assert certs.facts(ca).not_after == NOW + timedelta(days=1825)
    pem, leaf_key = agent_leaf(ca, key, "server", ["server.dc1.consul", "localhost", "10.0.0.1"], NOW, 365)
    found = certs.facts(pem)
    assert (found.subject, found.dns_names) == ("CN=server.dc1.consul", ("server.dc1.consul", "localhost"))
    assert certs.verify_signed_by(pem, ca)
    assert certs.key_matches(leaf_key, pem)


@pytest.mark.parametrize(
    ("kind", "purposes"),
    [
        ("server", ["serverAuth", "clientAuth"]),
        ("client", ["clientAuth", "serverAuth"]),
        ("cli", ["clientAuth"]),
    ],
)
def test_what_each_kind_is_good_for(kind: str, purposes: list[str]) -> None:
    ca, key = agent_ca(NOW, 10, "ca")
    pem, _ = agent_leaf(ca, key, kind, ["a"], NOW, 365)
    found = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in found] == purposes
    assert certs.facts(pem).not_after == NOW + timedelta(days=10)


def test_name_constraints() -> None:
    ca, _ = agent_ca(NOW, 10, "ca", ["localhost", "consul"])
    ext = x509.load_pem_x509_certificate(ca).extensions.get_extension_for_class(x509.NameConstraints)
    assert ext.critical
    assert [name.value for name in ext.value.permitted_subtrees or []] == ["localhost", "consul"]


def test_an_authority_that_cannot_be_used_is_refused() -> None:
    ca, key = agent_ca(NOW, 10, "ca")
    _, other = agent_ca(NOW, 10, "ca")
    for bad_ca, bad_key, text in (
        (ca, other, "do not belong together"),
        (b"x", key, "cannot be used"),
        (ca, b"", "no"),
    ):
        with pytest.raises(BadRequest, match=text):
            agent_leaf(bad_ca, bad_key, "cli", ["a"], NOW, 1)
    with pytest.raises(BadRequest, match="is no DNS name"):
        agent_leaf(ca, key, "cli", ["wört"], NOW, 1)

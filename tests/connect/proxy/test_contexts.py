"""Contexts from a snapshot."""

from __future__ import annotations

import ssl

import msgspec
import pytest
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.errors import Unavailable

TD = TrustDomain()


def test_both_sides_demand_certificates_and_tls_1_2() -> None:
    contexts = Contexts(TD.snapshot("web"))
    for context in (contexts.server, contexts.client):
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        names = {cipher["name"] for cipher in context.get_ciphers()}
        assert {"ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_256_GCM_SHA384"} <= names
        assert not any("CBC" in name or "RSA" in name for name in names)


def test_only_leaf_and_roots_need_others() -> None:
    snapshot = TD.snapshot("web")
    assert Contexts.key(snapshot) == Contexts.key(msgspec.structs.replace(snapshot, default_allow=False))
    assert Contexts.key(snapshot) != Contexts.key(msgspec.structs.replace(snapshot, roots=("x",)))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"leaf_chain": ""}, "there is no leaf certificate yet"),
        ({"roots": ()}, "there is no leaf certificate yet"),
        ({"leaf_key": TrustDomain().leaf("web")[1]}, "cannot be used"),
        ({"roots": ("zork",)}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said(fields: dict[str, object], why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        Contexts(TD.snapshot("web", **fields))

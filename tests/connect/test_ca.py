"""The built-in authority: roots, rotation, signing (surface rows M60-M65, leaf.md stages A-E)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from meshagent.connect import ca, certs, spiffe
from meshagent.connect.ca_config import CASettings
from meshagent.errors import BadRequest, InternalError, RemoteProtocolError

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
CLUSTER = "11111111-2222-3333-4444-555555555555"
TD = f"{CLUSTER}.consul"


def built(settings: CASettings | None = None, serial: int = 7) -> ca.BuiltRoot:
    return ca.build_root(settings or CASettings(), CLUSTER, "abc1234", serial, NOW)


def asked(name: str = "web", trust_domain: str = TD, dc: str = "dc1") -> bytes:
    uri = spiffe.format(spiffe.service_id(trust_domain, dc, name))
    return certs.request(certs.new_key("ec", 256), uri)


def signed(root: ca.BuiltRoot, request: bytes) -> ca.SignedLeaf:
    vouched = ca.service_identity(request, TD, "dc1")
    return ca.sign(request, vouched, root.row, root.key, CASettings().leaf_life, 22, 40, NOW)


def test_the_row_of_a_root_says_what_the_certificate_does() -> None:
    row = built().row
    found = certs.facts(row.root_cert.encode())
    assert (row.id, row.serial, row.signing_key_id) == (found.fingerprint, 7, found.subject_key_id)
    assert (row.name, row.external_trust_domain) == ("Consul CA Primary Cert", CLUSTER)
    assert (row.not_before, row.not_after) == ("2024-05-01T12:00:00Z", "2034-04-29T12:00:00Z")
    assert (row.key_type, row.key_bits, row.active, row.intermediates) == ("ec", 256, True, ())
    assert found.subject == "CN=pri-abc1234.consul.ca.11111111.consul"


def test_an_own_key_and_an_own_root_are_taken() -> None:
    mine = built(CASettings(key_bits=384))
    with_key = built(CASettings(private_key=mine.key.decode()))
    assert with_key.row.signing_key_id == mine.row.signing_key_id
    assert with_key.row.key_bits == 384
    whole = built(CASettings(private_key=mine.key.decode(), root_cert=mine.row.root_cert))
    assert whole.row == mine.row


def test_an_own_root_that_cannot_sign_is_refused() -> None:
    mine, other = built(), built()
    leaf = signed(mine, asked()).chain
    for key, root, text in (
        (other.key, mine.row.root_cert, "does not belong to PrivateKey"),
        (mine.key, leaf, "is not the certificate of an authority"),
        (mine.key, "zork", "no usable certificate"),
        (b"nope", "", "no PEM-encoded data found"),
    ):
        with pytest.raises(InternalError, match=text) as refused:
            built(CASettings(private_key=key.decode(), root_cert=root))
        assert "nope" not in str(refused.value)
    with pytest.raises(InternalError, match="is valid from"):
        ca.build_root(
            CASettings(private_key=mine.key.decode(), root_cert=mine.row.root_cert),
            CLUSTER, "x", 1, NOW + timedelta(days=9999),
        )  # fmt: skip


def test_only_another_key_or_root_rotates() -> None:
    root = built()
    same = CASettings(leaf_life=timedelta(hours=1), root_life=timedelta(days=9999))
    assert ca.rotation_reason(same, root.row, root.key) == ""
    assert ca.rotation_reason(CASettings(key_bits=384), root.row, root.key) == "key ec 384 in place of ec 256"
    assert ca.rotation_reason(CASettings(private_key=root.key.decode()), root.row, root.key) == ""
    own = built()
    assert ca.rotation_reason(CASettings(private_key=own.key.decode()), root.row, root.key) == "another private key"
    whole = CASettings(private_key=own.key.decode(), root_cert=own.row.root_cert)
    assert ca.rotation_reason(whole, root.row, root.key) == "another root certificate"
    assert ca.rotation_reason(whole, own.row, own.key) == ""
    assert ca.rotation_reason(same, None, None) == "there is no root"


def test_leafs_of_a_rotated_root_carry_the_bridge_to_the_old_one() -> None:
    old = built()
    new = ca.cross_signed(built(CASettings(key_bits=384), 8), old.row, old.key, 9, NOW)
    chain = re.findall(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", signed(new, asked()).chain, re.DOTALL
    )
    assert len(chain) == 2
    assert certs.verify_signed_by(chain[0].encode(), new.row.root_cert.encode())
    assert certs.verify_signed_by(chain[0].encode(), chain[1].encode())
    assert certs.verify_signed_by(chain[1].encode(), old.row.root_cert.encode())


def test_a_leaf_says_who_it_is_for() -> None:
    leaf = signed(built(), asked("we b"))
    assert (leaf.serial, leaf.service, leaf.index) == ("16", "we b", 40)
    assert leaf.uri == f"spiffe://{TD}/ns/default/dc/dc1/svc/we%20b"
    assert (leaf.valid_after, leaf.valid_before) == ("2024-05-01T11:59:00Z", "2024-05-04T11:59:00Z")


def test_identities_of_others_are_not_signed() -> None:
    root = built()
    for request, text in (
        (asked(trust_domain="other.consul"), "trust domain other.consul"),
        (asked(dc="dc2"), "different datacenter: dc2"),
    ):
        with pytest.raises(BadRequest, match=text):
            signed(root, request)
    key = certs.new_key("ec", 256)
    with pytest.raises(BadRequest, match="must be a service"):
        signed(root, certs.request(key, f"spiffe://{TD}/agent/server/dc/dc1"))
    with pytest.raises(RemoteProtocolError):
        signed(root, certs.request(key, "https://example.com"))
    with pytest.raises(RemoteProtocolError):
        signed(root, b"zork")


def test_old_roots_go_after_twice_the_life_of_a_leaf() -> None:
    out = msgspec.structs.replace(built().row, active=False, rotated_out_at=NOW.isoformat())
    active = built().row
    settings = CASettings()
    assert ca.outlived([out, active], settings, NOW + timedelta(hours=144)) == ()
    assert ca.outlived([out, active], settings, NOW + timedelta(hours=145)) == (out.id,)


def test_labels_are_seven_letters_and_digits() -> None:
    assert re.fullmatch(r"[0-9a-z]{7}", ca.label_of(b"seed"))
    assert ca.label_of(b"seed") == ca.label_of(b"seed") != ca.label_of(b"other")

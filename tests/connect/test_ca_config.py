"""Configuration of the authority: defaults, and Consul's words for what is refused (leaf.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from meshagent.connect.ca_config import DEFAULTS, CASettings, parse, provider_problem, without_secrets
from meshagent.errors import InternalError


def test_the_defaults_are_consuls() -> None:
    assert parse({}) == parse(dict(DEFAULTS)) == CASettings()
    assert CASettings().leaf_life == timedelta(hours=72)


def test_keys_may_be_snake_case_and_unknown_ones_are_ignored() -> None:
    settings = parse(
        {"leaf_cert_ttl": "24h", "CSRMaxPerSecond": "7", "RotationPeriod": "2160h", "private_key_bits": 384}
    )
    assert (settings.leaf_life, settings.csr_max_per_second, settings.key_bits) == (timedelta(hours=24), 7.0, 384)


def test_an_rsa_key_has_2048_bits_unless_said_otherwise() -> None:
    assert parse({"PrivateKeyType": "rsa"}).key_bits == 2048
    assert parse({"PrivateKeyType": "rsa", "PrivateKeyBits": 4096}).key_bits == 4096


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"LeafCertTTL": "10m"}, "leaf cert TTL must be greater or equal than 1h0m0s"),
        ({"LeafCertTTL": "9000h"}, "leaf cert TTL must be less than 8760h0m0s"),
        ({"PrivateKeyType": "rsa", "PrivateKeyBits": 1024}, "RSA key length must be 2048 or 4096 bits"),
        ({"PrivateKeyType": "rsa", "PrivateKeyBits": 3072}, "RSA key length must be 2048 or 4096 bits"),
        ({"PrivateKeyBits": 111}, "EC key length must be one of (224, 256, 384, 521) bits"),
        ({"PrivateKeyType": "dsa"}, "private key type must be either 'ec' or 'rsa'"),
        ({"RootCert": "x"}, "must provide a private key when providing a root cert"),
        (
            {"IntermediateCertTTL": "2h", "LeafCertTTL": "1h"},
            "Intermediate Cert TTL must be greater or equal than 3h",
        ),
        (
            {"LeafCertTTL": "zz"},
            "error decoding config: 1 error(s) decoding:\n\n* error decoding 'LeafCertTTL': time: invalid duration "
            '"zz"',
        ),
    ],
)
def test_what_is_refused(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InternalError) as refused:
        parse(config)
    assert str(refused.value) == f"error configuring provider: {text}"


def test_a_root_must_outlive_what_it_signs() -> None:
    with pytest.raises(InternalError, match="root cert TTL"):
        parse({"RootCertTTL": "100h"})


@pytest.mark.parametrize(
    ("provider", "config", "text"),
    [
        ("consul", {}, ""),
        ("nope", {}, 'could not initialize provider: unknown CA provider "nope"'),
        ("", {}, 'could not initialize provider: unknown CA provider ""'),
        ("vault", {}, "error configuring provider: must provide a Vault token or configure a Vault auth method"),
        ("vault", {"Token": "t"}, ""),
        ("vault", {"auth_method": {"type": "approle"}}, ""),
        ("aws-pca", {}, "error configuring provider: the CA provider aws-pca is not built yet in meshagent"),
    ],
)
def test_providers(provider: str, config: dict[str, Any], text: str) -> None:
    assert provider_problem(provider, config) == text


def test_private_keys_are_never_shown_and_what_was_shown_can_be_sent_back() -> None:
    shown = without_secrets({"PrivateKey": "secret", "LeafCertTTL": "24h"})
    assert shown == {"PrivateKey": "hidden", "LeafCertTTL": "24h"}
    assert parse(shown).private_key == ""
    assert without_secrets({"private_key": "secret"}) == {"private_key": "hidden"}
    assert "secret" not in repr(parse({"PrivateKey": "secret"}))


def test_what_logs_in_to_vault_is_never_shown() -> None:
    method = {"Type": "approle", "Params": {"role_id": "r", "secret_id": "s"}}
    assert without_secrets({"Token": "t", "AuthMethod": method, "Address": "http://x"}) == {
        "Token": "hidden",
        "AuthMethod": {"Type": "approle", "Params": {"role_id": "hidden", "secret_id": "hidden"}},
        "Address": "http://x",
    }

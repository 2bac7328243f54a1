"""Contexts from configuration, and why a handshake fails (surface row G15)."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.catalog.rpc.tls import Security, certificate_names, classify, load_security
from meshagent.errors import ConfigError

from .conftest import Pki

NAME = "server.dc1.consul"


def test_without_certificates_there_is_no_tls() -> None:
    security = load_security(TlsSettings())
    assert security == Security()
    assert security.hostname("dc1") is None


def test_contexts_follow_the_options(pki: Pki) -> None:
    strict = load_security(pki.leaf(NAME), "example.org.")
    assert strict.listener is not None
    assert strict.dialler is not None
    assert strict.listener.verify_mode == strict.dialler.verify_mode == ssl.CERT_REQUIRED
    assert strict.dialler.check_hostname
    assert (strict.prove_dialler, strict.prove_listener) == (True, True)
    assert strict.hostname("dc1") == "server.dc1.example.org"
    assert strict.listener.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("changes", "listener", "dialler", "proofs"),
    [
        ({"verify_incoming": False}, ssl.CERT_NONE, ssl.CERT_REQUIRED, (False, True)),
        ({"verify_server_hostname": False}, ssl.CERT_REQUIRED, ssl.CERT_REQUIRED, (False, False)),
        (
            {"verify_incoming": False, "verify_outgoing": False, "verify_server_hostname": False},
            ssl.CERT_NONE,
            ssl.CERT_NONE,
            (False, False),
        ),
        ({"verify_outgoing": False}, ssl.CERT_REQUIRED, ssl.CERT_REQUIRED, (True, True)),  # the hostname implies it
    ],
)
def test_what_is_verified(
    pki: Pki, changes: dict[str, Any], listener: int, dialler: int, proofs: tuple[bool, bool]
) -> None:
    security = load_security(replace(pki.leaf(NAME), **changes))
    assert security.listener is not None
    assert security.dialler is not None
    assert (security.listener.verify_mode, security.dialler.verify_mode) == (listener, dialler)
    assert (security.prove_dialler, security.prove_listener) == proofs


def test_one_without_a_certificate_may_still_dial_with_tls(pki: Pki) -> None:
    security = load_security(replace(pki.leaf(NAME), cert_file="", key_file=""))
    assert security.listener is None
    assert security.dialler is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key_file": ""}, "cert_file needs key_file"),
        ({"cert_file": "missing.pem"}, "cert_file 'missing.pem'"),
        ({"ca_file": "missing.pem"}, "ca_file 'missing.pem'"),
        ({"ca_file": ""}, "verify_incoming needs ca_file or ca_path"),
        ({"ca_file": "", "verify_incoming": False}, "verify_outgoing needs ca_file or ca_path"),
        ({"cipher_suites": "rot13"}, "tls_cipher_suites 'rot13'"),
    ],
)
def test_a_wrong_option_is_named(pki: Pki, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_security(replace(pki.leaf(NAME), **changes))
    assert str(caught.value).startswith("tls.internal_rpc: ")


def test_the_oldest_version_and_a_folder_of_authorities(pki: Pki, tmp_path: Path) -> None:
    security = load_security(replace(pki.leaf(NAME), min_version="TLSv1_3", ca_file="", ca_path=str(tmp_path)))
    assert security.listener is not None
    assert security.listener.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), Reason.HANDSHAKE_TIMEOUT),
        (ConnectionAbortedError("SSL handshake is taking longer than 5 seconds"), Reason.HANDSHAKE_TIMEOUT),
        (
            ssl.SSLError(1, "[SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate"),
            Reason.CERTIFICATE,
        ),
        (ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"), Reason.CERTIFICATE),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"), Reason.CERTIFICATE),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), Reason.GARBAGE),
        (ConnectionResetError(), Reason.LOST),
    ],
)
def test_why_a_handshake_failed(error: Exception, reason: Reason) -> None:
    assert classify(error) is reason


class _Shown:
    def __init__(self, certificate: Any) -> None:
        self._certificate = certificate

    def getpeercert(self) -> Any:
        return self._certificate


def test_names_are_those_of_the_alternatives() -> None:
    shown: Any = _Shown({"subjectAltName": (("DNS", "Server.DC1.consul"), ("IP Address", "127.0.0.1"), ("DNS", "x"))})
    assert certificate_names(shown) == {"server.dc1.consul", "x"}
    nothing: Any = _Shown({})
    assert certificate_names(nothing) == certificate_names(None) == frozenset()

"""Names of cipher suites."""

from __future__ import annotations

import pytest

from meshagent.connect.cipher_suites import openssl_name


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        (" ECDHE-RSA-AES128-SHA ", "ECDHE-RSA-AES128-SHA"),
    ],
)
def test_the_name_of_iana_is_put_into_that_of_openssl(theirs: str, name: str) -> None:
    assert openssl_name(theirs) == name

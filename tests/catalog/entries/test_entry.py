"""What entries share."""

import pytest

from meshagent.catalog.entries.entry import entry_name, multierror, tls_problem


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("ca_file", "CAFile"),
        ("json_web_key_set", "JSONWebKeySet"),
        ("enforcing_consecutive_5xx", "EnforcingConsecutive5xx"),
        ("sanitize_x_forwarded_client_cert", "SanitizeXForwardedClientCert"),
        ("mutual_tls_mode", "MutualTLSMode"),
    ],
)
def test_names(attribute: str, name: str) -> None:
    assert entry_name(attribute) == name


def test_several_errors_in_one() -> None:
    assert multierror([]) == ""
    assert multierror(["a"]) == "1 error occurred:\n\t* a\n\n"
    assert multierror(["a", "b"]) == "2 errors occurred:\n\t* a\n\t* b\n\n"


def test_tls_bounds() -> None:
    assert tls_problem("TLSv1_2", "TLSv1_3", ("TLS_RSA_WITH_AES_128_CBC_SHA",)) == ""
    assert "less than" in tls_problem("TLSv1_3", "TLSv1_2", ())
    assert "TLS 1.2 or earlier" in tls_problem("TLSv1_3", "", ("TLS_RSA_WITH_AES_128_CBC_SHA",))

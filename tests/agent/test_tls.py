"""TLS of listeners (surface row G15)."""

import ssl

import pytest
from meshtest.certificates import make_ca, make_leaf

from meshagent.agent.config.security import TLSProtocol
from meshagent.agent.tls import server_context
from meshagent.catalog.rpc.tls import Credentials
from meshagent.errors import ConfigError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    ca = make_ca()
    cert, key = make_leaf(ca, "localhost")
    for name, data in {"ca.pem": ca.pem, "cert.pem": cert, "key.pem": key}.items():
        (folder / name).write_bytes(data)
    return folder


def block(files, **more) -> TLSProtocol:
    given = {"cert_file": str(files / "cert.pem"), "key_file": str(files / "key.pem"), **more}
    return TLSProtocol(**given)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Both ends over memory; the version that was agreed on."""
    wires = [ssl.MemoryBIO() for _ in range(4)]
    left = server.wrap_bio(wires[0], wires[1], server_side=True)
    right = client.wrap_bio(wires[2], wires[3], server_hostname="localhost")
    for _ in range(6):
        for side in (right, left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            wires[0].write(wires[3].read())
            wires[2].write(wires[1].read())
    return left.version() or ""


def client(files) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files / "ca.pem"))


def test_a_client_that_trusts_the_authority_gets_in(files):
    assert handshake(server_context(block(files), "tls.https"), client(files)) == "TLSv1.3"


def test_verify_incoming_wants_a_certificate(files):
    strict = server_context(block(files, verify_incoming=True, ca_file=str(files / "ca.pem")), "tls.https")
    with pytest.raises(ssl.SSLError):
        handshake(strict, client(files))
    known = client(files)
    known.load_cert_chain(files / "cert.pem", files / "key.pem")
    assert handshake(strict, known) == "TLSv1.3"


def test_what_the_servers_gave_is_shown_where_no_certificate_is_configured(files):
    given = Credentials(
        chain=(files / "cert.pem").read_text(),
        key=(files / "key.pem").read_text(),
        authorities=((files / "ca.pem").read_text(),),
    )
    assert handshake(server_context(TLSProtocol(), "tls.https", given=given), client(files)) == "TLSv1.3"
    strict = server_context(TLSProtocol(verify_incoming=True), "tls.https", given=given)
    with pytest.raises(ssl.SSLError):
        handshake(strict, client(files))
    known = client(files)
    known.load_cert_chain(files / "cert.pem", files / "key.pem")
    assert handshake(strict, known) == "TLSv1.3"


def test_without_a_certificate_yet_nobody_gets_in(files):
    with pytest.raises(ssl.SSLError):
        handshake(server_context(TLSProtocol(), "tls.https", given=Credentials()), client(files))


def test_old_versions_are_refused(files):
    old = client(files)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(server_context(block(files, tls_min_version="TLSv1_3"), "tls.https"), old)


def test_cipher_suites_by_their_iana_names(files):
    only = server_context(block(files, tls_cipher_suites="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), "tls.https")
    names = {cipher["name"] for cipher in only.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-ECDSA-AES128-GCM-SHA256"}


def test_without_a_certificate_no_handshake_succeeds(files):
    """Consul opens its HTTPS port so, too."""
    with pytest.raises(ssl.SSLError):
        handshake(server_context(block(files, cert_file="", key_file=""), "tls.https"), client(files))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cert_file": ""}, "cert_file and key_file go together"),
        ({"key_file": ""}, "cert_file and key_file go together"),
        ({"cert_file": "/nowhere.pem"}, "cert_file '/nowhere.pem'"),
        ({"verify_incoming": True}, "verify_incoming needs ca_file or ca_path"),
        ({"verify_incoming": True, "ca_file": "/nowhere.pem"}, "ca_file '/nowhere.pem'"),
        ({"tls_cipher_suites": "nonsense"}, "tls_cipher_suites 'nonsense'"),
    ],
)
def test_what_cannot_be_used_is_named(files, given, message):
    with pytest.raises(ConfigError, match="tls.https: " + message):
        server_context(block(files, **given), "tls.https")

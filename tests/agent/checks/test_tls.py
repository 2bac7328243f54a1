import asyncio
import ssl

import pytest

from meshagent.agent.checks.dial import Secure, parse_target
from meshagent.agent.checks.probe import ProbeFailed
from meshagent.agent.checks.tls import AgentTls, TlsContexts, explain


def test_contexts_are_shared():
    contexts = TlsContexts()
    verifying = contexts.get(skip_verify=False)
    assert contexts.get(skip_verify=False) is verifying
    assert contexts.get(skip_verify=True) is not verifying
    assert contexts.get(skip_verify=False, alpn="h2") is not verifying


def test_verification_is_on_unless_skipped():
    """K11"""
    contexts = TlsContexts()
    assert contexts.get(skip_verify=False).verify_mode is ssl.CERT_REQUIRED
    assert contexts.get(skip_verify=False).check_hostname
    assert contexts.get(skip_verify=True).verify_mode is ssl.CERT_NONE


def test_the_name_to_expect():
    assert TlsContexts().server_name("", "127.0.0.1") == "127.0.0.1"
    assert TlsContexts().server_name("web.example", "127.0.0.1") == "web.example"
    agent = TlsContexts(AgentTls(server_name="server.dc1.consul"))
    assert agent.server_name("", "127.0.0.1") == "server.dc1.consul"
    assert agent.server_name("web.example", "127.0.0.1") == "web.example"


def test_files_that_are_not_there_are_named():
    with pytest.raises(ProbeFailed, match="cannot load the agent's TLS files"):
        TlsContexts(AgentTls(cert_file="/nowhere/cert.pem")).get(skip_verify=True)


class Named(ssl.SSLError):
    def __init__(self, reason):
        self.reason = reason


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("WRONG_VERSION_NUMBER", "tls: first record does not look like a TLS handshake"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "remote error: tls: handshake failure"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "remote error: tls: certificate required"),
        ("NO_PROTOCOLS_AVAILABLE", "tls: no protocols available"),
    ],
)
def test_handshake_errors_in_gos_words(reason, message):
    assert explain(Named(reason), "h") == message


async def read_until_closed(reader, writer):
    await reader.read()


async def connect(tools, port, **options):
    return await tools.dialer.connect(parse_target(f"127.0.0.1:{port}"), asyncio.Protocol, Secure(**options))


async def test_an_expired_certificate(make_tools, serve, server_tls, certificates):
    port = await serve(read_until_closed, ssl=server_tls(cert=certificates.expired))
    with pytest.raises(ProbeFailed, match="x509: certificate has expired or is not yet valid"):
        await connect(make_tools(agent_tls=AgentTls(ca_file=certificates.ca)), port)


async def test_the_agents_certificate_is_presented(make_tools, serve, server_tls, certificates):
    """K20"""
    seen = asyncio.get_running_loop().create_future()

    async def look(reader, writer):
        seen.set_result(writer.get_extra_info("peercert"))

    port = await serve(look, ssl=server_tls(client_ca=True))
    agent = AgentTls(cert_file=certificates.cert, key_file=certificates.key, ca_file=certificates.ca)
    await connect(make_tools(agent_tls=agent), port)
    assert (await asyncio.wait_for(seen, 5))["subject"] == ((("commonName", "web.example"),),)


async def test_a_peer_that_hangs_up_in_the_handshake(make_tools, serve):
    async def hang_up(reader, writer):
        await reader.read(1)

    port = await serve(hang_up)
    with pytest.raises(ProbeFailed):
        await connect(make_tools(), port)

"""What a reload takes without a restart: certificates, tokens, limits, metadata, config entries (G4, G15, G17, G20)."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from meshtest.ask import dns_data
from meshtest.certificates import Authority, make_ca, make_leaf
from meshtest.process import AgentProcess, free_ports

PORTS = ("http", "https", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls")
MANAGEMENT = "f1f2f3f4-0000-4000-8000-000000000001"


def write_leaf(folder: Path, ca: Authority) -> int:
    """A new certificate in the files of the agent; its serial number."""
    certificate, key = make_leaf(ca, "localhost", "server.dc1.consul")
    for name, data in (("cert.pem", certificate), ("key.pem", key), ("ca.pem", ca.pem)):
        fresh = folder / f"{name}.new"
        fresh.write_bytes(data)
        fresh.replace(folder / name)
    return x509.load_pem_x509_certificate(certificate).serial_number


def rewrite(agent: AgentProcess, **changes: Any) -> None:
    """Another configuration file; nobody is told."""
    assert agent.config is not None
    agent.config.update(changes)
    (agent.directory / "agent.json").write_text(json.dumps(agent.config))


def shown(port: int, *, alpn: str = "http/1.1") -> int:
    """The serial number of the certificate that a listener shows; 0 when it ends the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
        context.wrap_socket(connection) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


def status(port: int, context: ssl.SSLContext) -> int:
    """Of a request on a new connection; 0 when the listener wants a certificate."""
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    try:
        connection.request("GET", "/v1/status/leader")
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return 0
    finally:
        connection.close()


def test_certificates_are_taken_and_old_connections_live_on(tmp_path: Path) -> None:
    first, second = make_ca("first"), make_ca("second")
    old = write_leaf(tmp_path, first)
    files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    block = {**files, "ca_file": str(tmp_path / "ca.pem")}
    ports = free_ports(PORTS)
    agent = AgentProcess.server({"tls": {"https": block, "internal_rpc": block}}, ports=ports)
    with agent:
        places = ((ports["https"], "http/1.1"), (ports["server"], "meshagent/1"))
        assert [shown(port, alpn=alpn) for port, alpn in places] == [old, old]
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        standing = http.client.HTTPSConnection("localhost", ports["https"], context=trusting, timeout=30)
        standing.request("GET", "/v1/status/leader")
        assert standing.getresponse().read()

        new = write_leaf(tmp_path, second)
        rewrite(agent, tls={"https": {**block, "verify_incoming": True}, "internal_rpc": block})
        agent.put("/v1/agent/reload")
        assert [shown(port, alpn=alpn) for port, alpn in places] == [new, new]
        standing.request("GET", "/v1/status/leader")
        assert standing.getresponse().read()
        standing.close()
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert status(ports["https"], trusting) == 0, "verify_incoming is in force"
        trusting.load_cert_chain(files["cert_file"], files["key_file"])
        assert status(ports["https"], trusting) == 200

        (tmp_path / "cert.pem").write_text("nonsense")
        refused = agent.http("PUT", "/v1/agent/reload")
        assert (refused.status, b"tls.https: cert_file" in refused.body) == (500, True)
        assert [shown(port, alpn=alpn) for port, alpn in places] == [new, new]


def test_files_that_change_are_followed_but_not_whom_we_trust(tmp_path: Path) -> None:
    old = write_leaf(tmp_path, make_ca("first"))
    files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    ports = free_ports(PORTS)
    agent = AgentProcess.server({"auto_reload_config": True, "tls": {"https": files}}, ports=ports)
    with agent:
        assert shown(ports["https"]) == old
        new = write_leaf(tmp_path, make_ca("second"))
        agent.wait("the new certificate", lambda: shown(ports["https"]) == new)
        block = {**files, "ca_file": str(tmp_path / "ca.pem"), "verify_incoming": True}
        rewrite(agent, tls={"https": block})
        wanted = "tls.https.verify_incoming: false -> true; this needs a reload by SIGHUP"
        agent.wait("the word about it", lambda: wanted in agent.log())
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert status(ports["https"], trusting) == 200, "nobody has asked yet"
        agent.signal(signal.SIGHUP)
        agent.wait("a demand for certificates", lambda: status(ports["https"], trusting) == 0)


def test_tokens_limits_metadata_and_config_entries_are_taken(tmp_path: Path) -> None:
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": MANAGEMENT}}
    with AgentProcess.server({"acl": acl}) as agent:
        management = {"headers": {"X-Consul-Token": MANAGEMENT}}
        agent.wait("ACLs", lambda: agent.http("GET", "/v1/acl/tokens", **management).status == 200)
        row = {"Node": "other", "Address": "10.0.0.9", "Service": {"Service": "web", "Port": 80}}
        agent.put("/v1/catalog/register", row, **management)
        assert agent.http("GET", "/v1/catalog/service/web").body == b"[]"
        assert dns_data(agent, "web.service.consul") == []

        rewrite(
            agent,
            acl={**acl, "tokens": {**acl["tokens"], "dns": MANAGEMENT, "agent": MANAGEMENT, "default": MANAGEMENT}},
            node_meta={"rack": "r7"},
            limits={"rpc_max_conns_per_client": 1},
            raft_snapshot_threshold=1,
            raft_snapshot_interval="1s",
            config_entries={"bootstrap": [{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}]},
        )
        agent.put("/v1/agent/reload", **management)
        assert [one["Node"] for one in agent.get("/v1/catalog/service/web")] == ["other"]
        agent.wait("DNS with the new token", lambda: dns_data(agent, "web.service.consul") == ["10.0.0.9"])
        agent.wait("the metadata", lambda: b'"rack"' in agent.http("GET", "/v1/catalog/node/n1").body)
        entry = "/v1/config/service-defaults/web"
        agent.wait("the entry", lambda: agent.http("GET", entry).status == 200)
        assert agent.get(entry)["Protocol"] == "http"
        agent.put("/v1/kv/a", body=b"1")
        agent.wait("a snapshot", lambda: "snapshot at entry" in agent.log())
        with (
            socket.create_connection(("127.0.0.1", agent.ports["server"]), timeout=30),
            socket.create_connection(("127.0.0.1", agent.ports["server"]), timeout=30) as second,
        ):
            assert second.recv(1) == b"", "one connection an address"

        rewrite(agent, config_entries={"bootstrap": [{"Kind": "service-defaults", "Name": "web", "Protocl": "http"}]})
        refused = agent.http("PUT", "/v1/agent/reload")
        assert (refused.status, b"config_entries.bootstrap[0]" in refused.body) == (500, True)

"""Which certificate who connects is shown, and what a port that is taken means; tests/interop listens."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.inprocess import InProcess, server_config

from meshagent.agent.config import Config, Listen
from meshagent.agent.grpc.listeners import DEFAULT_TLS_PORT, GrpcListeners
from meshagent.agent.peering.messages import EXCHANGE_METHOD
from meshagent.catalog.rpc.tls import load_chain
from meshagent.errors import ConfigError

AUTHORITY = make_ca()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    certificate, key = make_leaf(AUTHORITY, "localhost")
    made = {"cert_file": certificate, "key_file": key, "ca_file": AUTHORITY.pem}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in made}


def config(**tls: Any) -> Config:
    found = server_config()
    return found.replace(tls=found.tls.replace(grpc=found.tls.grpc.replace(tls_min_version="TLSv1_2", **tls)))


class Peering:
    """Asked for by the name `peer`."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = make_leaf(AUTHORITY, "peer")
        load_chain(self.context, certificate.decode(), key.decode())

    def is_asked(self, name: str | None) -> bool:
        return name == "peer"


def shown(context: ssl.SSLContext, name: str) -> tuple[set[str], ssl.SSLObject]:
    """The names in the certificate that who asks for `name` is shown, and the server's side of the connection."""
    client_context = ssl.create_default_context(cadata=AUTHORITY.pem.decode())
    client_context.check_hostname = False
    client_context.set_alpn_protocols(["h2"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    sides: list[Callable[[], None]] = [client.do_handshake, server.do_handshake]
    while sides:
        for side in list(sides):
            try:
                side()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    certificate: Any = client.getpeercert()
    assert client.selected_alpn_protocol() == "h2"
    return {value for _, value in certificate["subjectAltName"]}, server


async def test_peers_are_shown_another_certificate(files: dict[str, str]) -> None:
    agent = InProcess(config=config(**files, verify_incoming=True)).agent
    agent.extras["peering"] = Peering()
    listeners = GrpcListeners(agent, None)
    context = listeners.load(agent.config.tls.grpc)
    names, for_peer = shown(context, "peer")
    assert names == {"peer"}
    names, for_other = shown(context, "localhost")
    assert names == {"localhost"}
    assert listeners._admit(SimpleNamespace(tls=for_peer))  # type: ignore[arg-type]
    assert not listeners._admit(SimpleNamespace(tls=for_other)), "a certificate is demanded"  # type: ignore[arg-type]
    assert listeners._admit(SimpleNamespace(tls=None))  # type: ignore[arg-type]


async def test_who_comes_as_a_peer_may_call_what_is_for_peers_only(files: dict[str, str]) -> None:
    agent = InProcess(config=config(**files, verify_incoming=True)).agent
    agent.extras["peering"] = Peering()
    listeners = GrpcListeners(agent, None)
    context = listeners.load(agent.config.tls.grpc)
    _, for_peer = shown(context, "peer")
    _, for_other = shown(context, "localhost")
    xds = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    may = listeners.server.permit
    assert may(SimpleNamespace(tls=for_peer, method=EXCHANGE_METHOD))  # type: ignore[arg-type]
    assert not may(SimpleNamespace(tls=for_peer, method=xds))  # type: ignore[arg-type]
    assert not may(SimpleNamespace(tls=for_peer, method="/hashicorp.consul.acl.ACLService/Login"))  # type: ignore[arg-type]
    assert may(SimpleNamespace(tls=for_other, method=xds))  # type: ignore[arg-type]
    assert may(SimpleNamespace(tls=None, method=xds))  # type: ignore[arg-type]


async def test_who_is_not_asked_for_one_needs_none(files: dict[str, str]) -> None:
    agent = InProcess(config=config(**files)).agent
    listeners = GrpcListeners(agent, None)
    names, connection = shown(listeners.load(agent.config.tls.grpc), "localhost")
    assert names == {"localhost"}
    assert listeners._admit(SimpleNamespace(tls=connection))  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [True, False])
async def test_what_the_servers_gave_is_shown_where_it_is_wanted(wanted: bool) -> None:
    certificate, key = make_leaf(AUTHORITY, "given")
    kept = SimpleNamespace(chain=certificate.decode(), key=key.decode(), authorities=(AUTHORITY.pem.decode(),))
    keeper: Any = SimpleNamespace(kept=kept, on_change=[])
    agent = InProcess(config=config(use_auto_cert=wanted)).agent
    listeners = GrpcListeners(agent, keeper)
    context = listeners.load(agent.config.tls.grpc)
    if wanted:
        assert shown(context, "any")[0] == {"given"}
    else:
        with pytest.raises(ssl.SSLError):
            shown(context, "any")
    taken: list[ssl.SSLContext] = []

    async def secure(given: ssl.SSLContext) -> None:
        taken.append(given)

    listeners.server.secure = secure  # type: ignore[method-assign]
    keeper.on_change[0]()
    for task in list(agent.tasks._tasks):
        await task
    assert bool(taken) == wanted, "a renewed one is shown"


async def test_files_that_are_not_there_are_named(files: dict[str, str]) -> None:
    agent = InProcess(config=config(**{**files, "cert_file": "/nowhere"})).agent
    with pytest.raises(ConfigError, match=r"tls\.grpc: cert_file '/nowhere'"):
        GrpcListeners(agent, None).load(agent.config.tls.grpc)


@pytest.mark.parametrize(
    ("option", "port", "reason", "fails"),
    [
        ("ports.grpc_tls", DEFAULT_TLS_PORT, errno.EADDRINUSE, False),
        ("ports.grpc_tls", DEFAULT_TLS_PORT, errno.EACCES, True),
        ("ports.grpc_tls", 9503, errno.EADDRINUSE, True),
        ("ports.grpc", 8502, errno.EADDRINUSE, True),
    ],
)
async def test_a_port_that_is_taken(
    option: str, port: int, reason: int, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = GrpcListeners(InProcess(config=config()).agent, None)

    async def taken(*_: object) -> int:
        raise OSError(reason, "no")

    listeners.server.listen = taken  # type: ignore[method-assign]
    place = Listen("127.0.0.1", port)
    if fails:
        with pytest.raises(ConfigError, match=f"{option}: cannot listen on 127.0.0.1:{port}"):
            await listeners._listen(option, place, None)
    else:
        await listeners._listen(option, place, None)
        assert "nobody can call this agent over gRPC with TLS" in caplog.text

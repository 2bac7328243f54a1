"""A first contact with a real listener: what it may ask, and whom it believes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from meshtest import certificates

from meshagent.agent.auto.asking import FirstContact, new_request
from meshagent.agent.auto.messages import CONFIGURE, SIGN, ConfigRequest, Configuration, Issued, SignRequest, encode
from meshagent.catalog.rpc.hello import CLIENT, SERVER, Identity, Peer
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.catalog.rpc.tls import load_security
from meshagent.clock import SystemClock
from meshagent.connect import certs
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import BadRequest, ConfigError, Denied, Unavailable
from meshagent.metrics import Metrics

LEAF = SignedLeaf("01", "chain", "c1", "spiffe://x", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", 7, "root")


class Listener:
    """A server that demands certificates, but for first contacts."""

    def __init__(self, folder: Path) -> None:
        self.authority = certificates.make_ca()
        (folder / "ca.pem").write_bytes(self.authority.pem)
        (folder / "strange.pem").write_bytes(certificates.make_ca("strange").pem)
        certificate, key = certificates.make_leaf(self.authority, "server.dc1.consul")
        (folder / "s.crt").write_bytes(certificate)
        (folder / "s.key").write_bytes(key)
        self.folder = folder
        tls = TlsSettings(
            ca_file=str(folder / "ca.pem"),
            cert_file=str(folder / "s.crt"),
            key_file=str(folder / "s.key"),
            verify_incoming=True,
            verify_server_hostname=True,
        )
        self.tls = tls
        self.metrics = Metrics()
        self.server = RpcServer(
            Identity("id-s", "s", "dc1"),
            clock=SystemClock(),
            metrics=self.metrics,
            methods={"secret": self._never},
            security=load_security(tls, bootstrap=True),
        )
        self.server.bootstrap_methods = {SIGN: self._sign, CONFIGURE: self._configure}
        host, port = self.server.listen("127.0.0.1", 0)
        self.address = f"{host}:{port}"
        self.refusal: Exception | None = None
        self.asked: list[bytes] = []

    async def _never(self, peer: Peer, payload: bytes) -> bytes:
        raise AssertionError("reached without a certificate")

    async def _sign(self, peer: Peer, payload: bytes) -> bytes:
        self.asked.append(payload)
        assert not peer.proven
        if self.refusal is not None:
            raise self.refusal
        return encode(Issued(LEAF))

    async def _configure(self, peer: Peer, payload: bytes) -> bytes:
        return encode(Configuration(Issued(LEAF), {"encrypt": "x"}))

    def contact(self, ca: str = "ca.pem", role: str = CLIENT, **more: Any) -> FirstContact:
        tls = TlsSettings(ca_file=str(self.folder / ca) if ca else "", verify_server_hostname=bool(ca))
        identity = Identity("id-c", "c1", "dc1", role=role)
        return FirstContact(identity, tls, "consul", SystemClock(), random.Random(1), Metrics(), **more)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    made = Listener(tmp_path)
    yield made
    await made.server.stop()


async def test_a_certificate_and_a_configuration(listener: Listener) -> None:
    contact = listener.contact()
    assert (await contact.sign([listener.address], SignRequest("c1", b"x"))).leaf == LEAF
    found = await contact.configure(["127.0.0.1:1", listener.address], ConfigRequest("c1", b"x", "jwt"))
    assert found.options == {"encrypt": "x"}


async def test_a_join_tokens_authority_is_enough(listener: Listener) -> None:
    contact = listener.contact("", trusted=(listener.authority.pem.decode(),))
    assert (await contact.sign([listener.address], SignRequest("c1", b"x"))).leaf == LEAF


async def test_nothing_else_can_be_asked(listener: Listener) -> None:
    contact = listener.contact()
    from meshagent.errors import NotFound

    with pytest.raises(NotFound):
        await contact._ask([listener.address], "secret", b"")


async def test_a_server_of_another_authority_gets_nothing(listener: Listener, monkeypatch: Any) -> None:
    monkeypatch.setattr("meshagent.agent.auto.asking.TIMEOUT_S", 0.5)
    with pytest.raises(Unavailable):
        await listener.contact("strange.pem").sign([listener.address], SignRequest("c1", b"x"))
    strange = (listener.folder / "strange.pem").read_text()
    with pytest.raises(Unavailable):
        await listener.contact("", trusted=(strange,)).sign([listener.address], SignRequest("c1", b"x"))
    assert listener.asked == []


async def test_who_says_it_is_a_server_is_refused(listener: Listener, monkeypatch: Any) -> None:
    monkeypatch.setattr("meshagent.agent.auto.asking.TIMEOUT_S", 0.5)
    with pytest.raises(Unavailable):
        await listener.contact(role=SERVER).sign([listener.address], SignRequest("c1", b"x"))
    assert listener.asked == []


async def test_a_listener_that_hands_nothing_out_takes_no_first_contact(listener: Listener, monkeypatch: Any) -> None:
    monkeypatch.setattr("meshagent.agent.auto.asking.TIMEOUT_S", 0.5)
    listener.server.bootstrap_methods = {}
    with pytest.raises(Unavailable):
        await listener.contact().sign([listener.address], SignRequest("c1", b"x"))


async def test_a_refusal_is_not_asked_for_twice(listener: Listener) -> None:
    listener.refusal = Denied("no")
    with pytest.raises(Denied):
        await listener.contact().sign([listener.address] * 3, SignRequest("c1", b"x"))
    assert len(listener.asked) == 1
    listener.refusal = BadRequest("odd")
    with pytest.raises(BadRequest):
        await listener.contact().sign([listener.address] * 3, SignRequest("c1", b"x"))
    assert len(listener.asked) == 4


async def test_nobody_to_ask_and_files_that_are_not_there(listener: Listener) -> None:
    with pytest.raises(Unavailable, match="no server"):
        await listener.contact().sign([], SignRequest("c1", b"x"))
    with pytest.raises(ConfigError, match="ca_file"):
        await listener.contact("missing.pem").sign([listener.address], SignRequest("c1", b"x"))


async def test_the_mesh_certificate_opens_the_ordinary_door_for_its_own_node_alone(listener: Listener) -> None:
    """A certificate of the mesh's authority is one of a client agent, of another node, or of a service."""
    from meshagent.agent.auto.issuing import agent_of
    from meshagent.catalog.rpc.ask_once import ask_once
    from meshagent.catalog.rpc.tls import Credentials
    from meshagent.connect import ca
    from meshagent.connect.ca_config import CASettings

    now = SystemClock().now()
    cluster = "11111111-2222-3333-4444-555555555555"
    root = ca.build_root(CASettings(), cluster, "abc1234", 7, now)
    trusted = Credentials(authorities=(root.row.root_cert,))
    listener.server.security = load_security(listener.tls, credentials=trusted, bootstrap=True)
    listener.server.agent_of = lambda names: agent_of(names, f"{cluster}.consul", "dc1")

    async def whoami(peer: Peer, payload: bytes) -> bytes:
        return f"{peer.node_name} {peer.proven}".encode()

    listener.server.methods["whoami"] = whoami
    key, request = new_request("c1", "dc1", ())
    domain, rest = f"{cluster}.consul", (root.row, root.key, CASettings().leaf_life, 3, 4, now)
    agents = ca.sign(request, ca.agent_identity(request, domain, "dc1", "c1"), *rest)
    service_key = certs.new_key("ec", 256)
    asked = certs.request(service_key, f"spiffe://{domain}/ns/default/dc/dc1/svc/web")
    service = ca.sign(asked, ca.service_identity(asked, domain, "dc1"), *rest)

    async def ask(chain: str, key: str, node: str, role: str = CLIENT) -> bytes:
        dialling = replace(listener.contact().tls, verify_outgoing=True)
        security = load_security(dialling, credentials=Credentials(chain, key))
        return await ask_once(
            listener.address, "whoami", b"", 1.0, expected_node_id="",
            identity=lambda: Identity("id-c", node, "dc1", role=role), security=lambda: security,
            clock=SystemClock(), rng=random.Random(1), metrics=Metrics(), settings=listener.server.settings,
        )  # fmt: skip

    assert await ask(agents.chain, key, "c1") == b"c1 True"
    for chain, private, node, role in (
        (agents.chain, key, "c2", CLIENT),
        (agents.chain, key, "c1", SERVER),
        (service.chain, service_key.decode(), "web", CLIENT),
        (service.chain, service_key.decode(), "c1", CLIENT),
    ):
        with pytest.raises(Unavailable):
            await ask(chain, private, node, role)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest):
        new_request("c1", "dc1", ("ünicode",))

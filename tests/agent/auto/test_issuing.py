"""What a server hands out, and to whom."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from meshtest import certificates

from meshagent.agent.auto.asking import new_request
from meshagent.agent.auto.introductions import join_token
from meshagent.agent.auto.issuing import Issuer, agent_of, read_authorities, split_pem
from meshagent.agent.auto.messages import (
    CONFIGURE,
    SIGN,
    ConfigRequest,
    Configuration,
    Issued,
    SignRequest,
    decode,
    encode,
)
from meshagent.agent.config import Config
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.member import Member
from meshagent.catalog.commands import Command
from meshagent.catalog.commands import encode as encoded
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.connect import certs
from meshagent.connect.authority import Authority, AuthoritySettings
from meshagent.errors import BadRequest, ConfigError, Denied, MeshError, RemoteProtocolError

AUTHORITY = certificates.make_ca()
PEM = AUTHORITY.pem.decode()
KEY = AUTHORITY.key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
TAGS = {"role": "consul", "dc": "dc1", "port": "8300", "id": "11111111-2222-3333-4444-555555555555"}


def peer(name: str = "c1", *, proven: bool = False) -> Peer:
    return Peer("id", name, "dc1", "", "client", 1, 1, proven)


def config(folder: Path, **changes: Any) -> Config:
    (folder / "ca.pem").write_text(PEM)
    whole = Config()
    return whole.replace(
        datacenter="dc1",
        encrypt_verify_incoming=True,
        encrypt_verify_outgoing=True,
        tls=whole.tls.replace(
            internal_rpc=whole.tls.internal_rpc.replace(ca_file=str(folder / "ca.pem"), verify_server_hostname=True)
        ),
        auto_encrypt=whole.auto_encrypt.replace(
            allow_tls=changes.get("allow_tls", True), require_intro_token=changes.get("introduced", False)
        ),
        auto_config=whole.auto_config.replace(
            authorization=whole.auto_config.authorization.replace(
                enabled=changes.get("authorization", True),
                static=whole.auto_config.authorization.static.replace(allow_reuse=changes.get("allow_reuse")),
            )
        ),
    )


class World:
    def __init__(self, folder: Path, **changes: Any) -> None:
        self.clock = VirtualClock()
        self.store = Store()
        log = MemoryLog(self.store)

        async def write(command: Command) -> Any:
            return await log.propose(encoded(command))

        self.authority = Authority(
            self.store,
            write,
            self.clock,
            random.Random(1),
            "dc1",
            AuthoritySettings(apart=False, config={"CSRMaxPerSecond": 0}),
        )
        members = [
            Member(name="s1", addr="10.0.0.1", port=8301, tags=TAGS),
            Member(name="s2", addr="::1", port=9, tags=TAGS),
            Member(name="c1", addr="10.0.0.9", port=8301),
        ]
        pool = SimpleNamespace(ring=Keyring([bytes(16)]))
        pools: Any = SimpleNamespace(members=lambda: members, pool=lambda: pool)
        self.agent: Any = SimpleNamespace(
            config=config(folder, **changes), clock=self.clock, datacenter="dc1", extras={}, write=write
        )
        self.issuer = Issuer(self.agent, self.authority, pools)

    async def sign(
        self, node: str = "c1", by: Peer | None = None, asked: str | None = None, introduction: str = ""
    ) -> Issued:
        _key, request = new_request(asked or node, "dc1", ("agent.example",))
        payload = encode(SignRequest(node, request, introduction=introduction))
        methods = self.issuer.bootstrap_methods() if by is None else self.issuer.methods()
        return decode(await methods[SIGN](by or peer(), payload), Issued)  # type: ignore[misc]

    async def configure(self, token: str, node: str = "c1", **more: str) -> Configuration:
        _, request = new_request(node, "dc1", ())
        payload = encode(ConfigRequest(node, request, token, **more))
        answer: Any = self.issuer.bootstrap_methods()[CONFIGURE](peer(), payload)
        return decode(await answer, Configuration)

    def token(self, node: str = "") -> str:
        return join_token(["10.0.0.1"], PEM, "dc1", node, self.clock.now(), 60, KEY, "ES256")


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    await made.authority.initialise()
    return made


async def test_a_certificate_is_for_the_agent_and_names_no_server(world: World) -> None:
    issued = await world.sign()
    found = certs.facts(issued.leaf.chain.encode())
    assert found.uris == (f"spiffe://{world.store.ca.trust_domain}/agent/client/dc/dc1/id/c1",)
    assert set(found.dns_names) == {"localhost", "agent.example"}
    assert issued.authorities == (PEM,)
    assert issued.verify_server_hostname
    for name in ("server.dc1.consul", "S1.Server.dc1.consul", "*.dc1.consul"):
        _, request = new_request("c1", "dc1", (name,))
        with pytest.raises(BadRequest, match="not for a client agent"):
            await world.authority.sign(request, "c1")


async def test_a_request_for_somebody_else_or_another_place_is_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="asked by 'c1'"):
        await world.sign("c1", asked="c2")
    _, elsewhere = new_request("c1", "dc2", ())
    with pytest.raises(BadRequest, match="different datacenter"):
        await world.authority.sign(elsewhere, "c1")
    service = certs.request(certs.new_key("ec", 256), f"spiffe://{world.store.ca.trust_domain}/ns/default/dc/dc1/svc/w")
    with pytest.raises(BadRequest, match="must be an agent"):
        await world.authority.sign(service, "c1")
    _, agents = new_request("c1", "dc1", ())
    with pytest.raises(BadRequest, match="must be a service"):
        await world.authority.sign(agents)


async def test_a_renewal_is_for_ones_own_name(tmp_path: Path) -> None:
    world = World(tmp_path, allow_tls=False)
    await world.authority.initialise()
    assert SIGN not in world.issuer.bootstrap_methods()
    assert (await world.sign("c1", peer("c1", proven=True))).leaf.service == "c1"
    with pytest.raises(Denied, match="asks for a certificate of"):
        await world.sign("c2", peer("c1", proven=True))
    with pytest.raises(Denied, match="no agent's certificate"):
        await world.sign("c1", peer("c1"))


async def test_who_is_introduced_gets_the_key_of_gossip_and_where_the_servers_are(world: World) -> None:
    found = await world.configure(world.token("c1"))
    assert found.issued.leaf.service == "c1"
    options = found.options
    assert options["encrypt"] == "AAAAAAAAAAAAAAAAAAAAAA=="
    assert options["retry_join"] == ["10.0.0.1:8301", "[::1]:9"]
    assert options["tls"]["internal_rpc"]["verify_server_hostname"] is True
    assert (options["datacenter"], options["node_name"]) == ("dc1", "c1")


async def test_another_part_of_the_agent_adds_options(world: World) -> None:
    async def more(node: str) -> dict[str, Any]:
        return {"acl": {"enabled": True, "tokens": {"agent": f"token of {node}"}}}

    world.agent.extras["auto_config_options"] = more
    found = await world.configure(world.token())
    assert found.options["acl"]["tokens"]["agent"] == "token of c1"


async def test_who_is_not_introduced_gets_nothing(world: World) -> None:
    for token, node, more in (
        ("no token", "c1", {}),
        (world.token("c2"), "c1", {}),
        (world.token(), "c1", {"partition": "other"}),
        (world.token(), "c1", {"segment": "other"}),
    ):
        with pytest.raises(MeshError):
            await world.configure(token, node, **more)


async def test_a_first_certificate_may_need_an_introduction(tmp_path: Path) -> None:
    world = World(tmp_path, introduced=True)
    await world.authority.initialise()
    for introduction in ("", "no token", world.token("c2")):
        with pytest.raises(Denied):
            await world.sign(introduction=introduction)
    assert (await world.sign(introduction=world.token("c1"))).leaf.service == "c1"
    # A renewal shows the certificate instead.
    assert (await world.sign("c1", peer("c1", proven=True))).leaf.service == "c1"
    with pytest.raises(Denied, match="no agent's certificate"):
        await world.sign("c1", peer("c1"))


def written_otherwise(token: str) -> str:
    """The same token with another good signature: of ECDSA's (r, s) also (r, order - s) is one."""
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    return f"{signed}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"


async def test_an_introduction_may_be_for_the_node_that_shows_it_first(tmp_path: Path) -> None:
    world = World(tmp_path, allow_reuse=False)
    await world.authority.initialise()
    token = world.token()
    assert (await world.configure(token)).issued.leaf.service == "c1"
    assert (await world.configure(token)).issued.leaf.service == "c1", "its disk was lost"
    for same in (token, written_otherwise(token)):
        with pytest.raises(Denied, match="used by another node"):
            await world.configure(same, "c2")
    assert (await world.configure(world.token("c2"), "c2")).issued.leaf.service == "c2"


async def test_unless_told_otherwise_an_introduction_is_taken_until_it_ends(world: World) -> None:
    token = world.token()
    for node in ("c1", "c2"):
        assert (await world.configure(token, node)).issued.leaf.service == node
    assert world.store.introductions.rows == {}
    await world.clock.advance(3600)
    with pytest.raises(Denied):
        await world.configure(token)


async def test_other_authorities_are_known_from_the_next_question_on(world: World) -> None:
    world.issuer.know((certificates.make_ca().pem.decode(),))
    with pytest.raises(Denied):
        await world.configure(world.token())
    world.issuer.know((PEM,))
    assert (await world.configure(world.token())).issued.authorities == (PEM,)


async def test_bytes_that_are_no_request_are_refused(world: World) -> None:
    for handler in (*world.issuer.bootstrap_methods().values(), *world.issuer.methods().values()):
        for payload in (b"", b"\x93", b"\xc1"):
            with pytest.raises(RemoteProtocolError):
                await handler(peer(), payload)  # type: ignore[misc]


def test_what_a_server_hands_out_is_what_is_configured(tmp_path: Path) -> None:
    nothing = World(tmp_path, allow_tls=False, authorization=False)
    assert nothing.issuer.bootstrap_methods() == {}
    assert not Issuer.wanted(nothing.agent.config)
    assert Issuer.wanted(config(tmp_path))


def test_authorities_are_read_one_by_one(tmp_path: Path) -> None:
    whole = config(tmp_path)
    (tmp_path / "ca.pem").write_text(f"# two\n{PEM}\n{PEM}")
    assert read_authorities(whole) == (PEM, PEM)
    assert split_pem("-----BEGIN CERTIFICATE-----\nhalf") == []
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(ConfigError, match="ca_file"):
        read_authorities(whole)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("spiffe://td.consul/agent/client/dc/dc1/id/c1", "c1"),
        ("spiffe://td.consul/agent/client/dc/dc2/id/c1", ""),
        ("spiffe://td.consul/agent/server/dc/dc1", ""),
        ("spiffe://td.consul/ns/default/dc/dc1/svc/web", ""),
        ("spiffe://other.example/agent/client/dc/dc1/id/c1", None),
        ("spiffe://", None),
        ("c1.example", None),
    ],
)
def test_for_whom_a_certificate_speaks(name: str, node: str | None) -> None:
    assert agent_of(frozenset({name, "localhost"}), "td.consul", "dc1") == node

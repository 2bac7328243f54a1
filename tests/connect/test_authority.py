"""The authority of a server: a new cluster, configuration, rotation, signing (surface rows CN2, M62-M66)."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from meshagent.catalog.commands import Command, encode
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.connect import certs, spiffe
from meshagent.connect.authority import Authority, AuthoritySettings
from meshagent.connect.ca import SignedLeaf
from meshagent.connect.sealing import SealingKey
from meshagent.connect.signing_limit import TooManyRequests
from meshagent.errors import Conflict, InternalError, Unavailable


class Server:
    """One authority over a log in memory."""

    def __init__(self, **settings: Any) -> None:
        self.store = Store()
        self.log = MemoryLog(self.store)
        self.clock = VirtualClock()
        self.authority = self.another(**settings)

    def another(self, **settings: Any) -> Authority:
        given = AuthoritySettings(apart=False, **settings)
        return Authority(self.store, self.write, self.clock, random.Random(1), "dc1", given)

    async def write(self, command: Command) -> Any:
        return await self.log.propose(encode(command))

    def request(self, name: str = "web") -> bytes:
        uri = spiffe.format(spiffe.service_id(self.store.ca.trust_domain, "dc1", name))
        return certs.request(certs.new_key("ec", 256), uri)


async def test_a_new_cluster_gets_id_configuration_and_root_once() -> None:
    server = Server()
    await server.authority.initialise()
    table = server.store.ca
    assert table.config is not None
    assert table.config.config == {"IntermediateCertTTL": "8760h", "LeafCertTTL": "72h", "RootCertTTL": "87600h"}
    assert table.config.create_index < table.config.modify_index == table.roots_index
    assert table.active is not None
    assert table.active.external_trust_domain == table.cluster_id
    before = table.state()
    await server.authority.initialise()
    await server.another(config={"LeafCertTTL": "1h"}).initialise()
    assert table.state() == before


async def test_the_agents_options_are_taken_and_its_key_is_not_in_the_configuration() -> None:
    key = certs.new_key("ec", 384).decode()
    server = Server(config={"leaf_cert_ttl": "24h", "private_key": key})
    await server.authority.initialise()
    table = server.store.ca
    assert table.config is not None
    assert table.config.config["private_key"] == "hidden"
    assert server.authority.settings().leaf_life == timedelta(hours=24)
    assert table.active is not None
    assert server.authority.key_of(table.active).decode() == key


async def test_a_configuration_without_another_key_rotates_nothing() -> None:
    server = Server()
    await server.authority.initialise()
    roots = dict(server.store.ca.roots)
    await server.authority.configure("consul", {"LeafCertTTL": "24h"}, False)
    assert server.store.ca.roots == roots
    assert server.authority.settings().leaf_life == timedelta(hours=24)


async def test_rotation_cross_signs_unless_told_not_to() -> None:
    server = Server()
    await server.authority.initialise()
    first = server.store.ca.active
    await server.authority.configure("consul", {"PrivateKeyBits": 384}, False)
    second = server.store.ca.active
    assert first is not None
    assert second is not None
    assert len(second.intermediates) == 1
    assert certs.verify_signed_by(second.intermediates[0].encode(), first.root_cert.encode())
    assert not server.store.ca.roots[first.id].active
    await server.authority.configure("consul", {"PrivateKeyType": "rsa"}, True)
    third = server.store.ca.active
    assert third is not None
    assert third.intermediates == ()
    assert (third.key_type, third.key_bits, len(server.store.ca.roots)) == ("rsa", 2048, 3)


async def test_a_refused_configuration_changes_nothing() -> None:
    server = Server()
    await server.authority.initialise()
    before = server.store.ca.state()
    for provider, config in (
        ("zork", {}),
        ("vault", {}),
        ("consul", {"LeafCertTTL": "1m"}),
        ("consul", {"PrivateKey": "x"}),
    ):
        with pytest.raises(InternalError):
            await server.authority.configure(provider, config, False)
    assert server.store.ca.config == before[0].config
    assert server.store.ca.roots_index == before[0].roots_index


async def test_two_servers_that_configure_at_once_do_not_overwrite_each_other() -> None:
    server = Server()
    await server.authority.initialise()
    other = server.another()
    results = await asyncio.gather(
        server.authority.configure("consul", {"LeafCertTTL": "24h"}, False),
        other.configure("consul", {"LeafCertTTL": "48h"}, False),
        return_exceptions=True,
    )
    assert sorted(type(result) for result in results if result is not None) == [Conflict]


async def test_leafs_are_signed_with_serials_of_the_log() -> None:
    server = Server()
    with pytest.raises(Unavailable, match="no root yet"):
        await server.authority.sign(b"")
    await server.authority.initialise()
    one = await server.authority.sign(server.request("web"))
    await server.clock.advance(1.0)
    two = await server.authority.sign(server.request("api"))
    assert int(two.serial, 16) == int(one.serial, 16) + 1
    assert two.index > one.index > server.store.ca.roots_index
    await server.clock.advance(1.0)
    third = msgspec.msgpack.decode(await server.authority.serve_sign(server.request("db")), type=SignedLeaf)
    assert third.service == "db"


async def test_more_requests_than_the_limit_wait_and_then_are_refused() -> None:
    server = Server(config={"CSRMaxPerSecond": 10})
    await server.authority.initialise()
    request = server.request()
    asked = [asyncio.ensure_future(server.authority.sign(request)) for _ in range(10)]
    await server.clock.advance(1.0)
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, TooManyRequests) for result in results) == 4
    assert sum(not isinstance(result, BaseException) for result in results) == 6


async def test_the_key_is_sealed_when_there_is_a_key_file() -> None:
    server = Server(sealing=SealingKey(bytes(32)))
    await server.authority.initialise()
    (row,) = server.store.ca.keys.values()
    assert b"PRIVATE KEY" not in row.data
    assert all(b"PRIVATE KEY" not in chunk for chunk in server.store.snapshot())
    assert (await server.authority.sign(server.request())).service == "web"
    with pytest.raises(Unavailable, match="sealed with another key file"):
        await server.another().sign(server.request())


async def test_old_roots_are_dropped_when_their_leafs_have_ended() -> None:
    server = Server()
    await server.authority.initialise()
    await server.authority.configure("consul", {"PrivateKeyBits": 384}, False)
    await server.authority.keep_house()
    assert len(server.store.ca.roots) == 2
    await server.clock.advance(145 * 3600.0)
    await server.authority.keep_house()
    assert [root.active for root in server.store.ca.roots.values()] == [True]
    assert len(server.store.ca.keys) == 1


async def test_a_leader_initialises_and_keeps_house(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    task = asyncio.ensure_future(server.authority.lead())
    for _ in range(200):
        await server.clock.advance(0.1)
        await asyncio.sleep(0.005)  # the key is made by a thread
        if server.store.ca.active is not None:
            break
    assert server.store.ca.active is not None
    assert server.store.ca.cluster_id == server.store.cluster_id != ""
    task.cancel()


async def test_what_fails_is_said_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(config={"LeafCertTTL": "1m"})
    task = asyncio.ensure_future(server.authority.lead())
    await server.clock.advance(10.0)
    assert caplog.text.count("leaf cert TTL must be greater") == 3
    task.cancel()

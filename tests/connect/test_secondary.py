"""The authority of a secondary datacenter: an intermediate below the primary's root (surface row M67)."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from meshagent.catalog.commands import Command, encode
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect import certs, spiffe
from meshagent.connect.authority import Authority, AuthoritySettings
from meshagent.connect.ca import SignedLeaf, signing_certificate
from meshagent.connect.secondary import PrimaryRoots
from meshagent.errors import BadRequest, InternalError, Unavailable


class Server:
    """The authority of one datacenter over a log in memory; `above` is that of the primary."""

    def __init__(self, clock: VirtualClock, datacenter: str, above: Server | None = None) -> None:
        self.store = Store()
        self.log = MemoryLog(self.store)
        self.datacenter = datacenter
        self.reachable = True
        self.signed = 0
        primary = above if above is not None else None
        self.authority = Authority(
            self.store, self.write, clock, random.Random(1), datacenter, AuthoritySettings(apart=False), primary
        )

    async def write(self, command: Command) -> Any:
        return await self.log.propose(encode(command))

    async def roots(self, index: int) -> PrimaryRoots:
        if not self.reachable:
            raise Unavailable("no path to the datacenter")
        table = self.store.ca
        return PrimaryRoots(table.cluster_id, tuple(table.roots.values()), table.roots_index)

    async def sign_intermediate(self, request_pem: bytes) -> str:
        if not self.reachable:
            raise Unavailable("no path to the datacenter")
        self.signed += 1
        return await self.authority.sign_intermediate(request_pem)

    async def leaf(self) -> SignedLeaf:
        uri = spiffe.format(spiffe.service_id(self.store.ca.trust_domain, self.datacenter, "web"))
        return await self.authority.sign(certs.request(certs.new_key("ec", 256), uri))


class Pair:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.primary = Server(self.clock, "dc1")
        self.second = Server(self.clock, "dc2", self.primary)

    async def begin(self) -> None:
        await self.primary.authority.initialise()
        await self.second.authority.initialise()
        await self.round()

    async def round(self) -> None:
        assert self.second.authority.secondary is not None
        await self.second.authority.secondary.round(0)

    @property
    def intermediate(self) -> str:
        active = self.second.store.ca.active
        assert active is not None
        return signing_certificate(active)


async def test_a_secondary_has_the_primarys_trust_domain_and_roots_and_signs_below_them() -> None:
    pair = Pair()
    await pair.begin()
    here, there = pair.second.store.ca, pair.primary.store.ca
    assert (here.trust_domain, list(here.roots)) == (there.trust_domain, list(there.roots))
    assert here.active is not None
    assert there.active is not None
    assert (here.active.name, here.active.root_cert) == (there.active.name, there.active.root_cert)
    assert here.active.signing_key_id == certs.facts(pair.intermediate.encode()).subject_key_id
    assert here.active.intermediates == (pair.intermediate,)
    leaf = await pair.second.leaf()
    own, between = leaf.chain.split("-----END CERTIFICATE-----\n")[:2]
    assert f"{between}-----END CERTIFICATE-----\n" == pair.intermediate
    assert certs.verify_signed_by(f"{own}-----END CERTIFICATE-----\n".encode(), pair.intermediate.encode())
    assert (leaf.root_id, leaf.uri.split("/dc/")[1]) == (there.active.id, "dc2/svc/web")
    before = here.state()
    await pair.round()
    assert here.state()[0].roots == before[0].roots
    assert pair.primary.signed == 1


async def test_a_rotation_of_the_primary_is_followed_and_old_leafs_stay_trusted() -> None:
    pair = Pair()
    await pair.begin()
    first = pair.intermediate
    await pair.primary.authority.configure("consul", {"PrivateKeyBits": 384}, False)
    await pair.round()
    here, there = pair.second.store.ca, pair.primary.store.ca
    assert set(here.roots) == set(there.roots)
    assert len(here.roots) == 2
    assert here.active is not None
    assert there.active is not None
    assert here.active.id == there.active.id
    assert pair.intermediate != first
    # Who trusts the old root alone follows by the certificate with which the old one vouches for the new.
    assert here.active.intermediates == (*there.active.intermediates, pair.intermediate)
    leaf = await pair.second.leaf()
    assert leaf.root_id == there.active.id
    assert leaf.chain.count("BEGIN CERTIFICATE") == 3
    assert list(here.keys) == [there.active.id]


async def test_the_intermediate_is_renewed_at_half_its_life() -> None:
    pair = Pair()
    await pair.begin()
    first = pair.intermediate
    await pair.clock.advance(timedelta(days=182).total_seconds())
    await pair.round()
    assert pair.intermediate == first
    await pair.clock.advance(timedelta(days=1).total_seconds())
    await pair.round()
    assert pair.intermediate != first
    assert pair.primary.signed == 2
    assert len(pair.second.store.ca.roots) == 1


async def test_without_the_primary_everything_goes_on() -> None:
    pair = Pair()
    await pair.begin()
    first = pair.intermediate
    pair.primary.reachable = False
    await pair.clock.advance(timedelta(days=200).total_seconds())
    with pytest.raises(Unavailable):
        await pair.round()
    assert pair.intermediate == first
    leaf = await pair.second.leaf()
    assert leaf.chain.endswith(first)
    # Leafs end with what signed them.
    await pair.clock.advance(timedelta(days=164).total_seconds())
    last = await pair.second.leaf()
    ends = certs.facts(first.encode()).not_after
    assert last.valid_before == ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    pair.primary.reachable = True
    await pair.round()
    assert pair.intermediate != first


async def test_follow_tries_again_until_the_primary_is_there() -> None:
    pair = Pair()
    await pair.second.authority.initialise()
    secondary = pair.second.authority.secondary
    assert secondary is not None
    assert pair.second.store.ca.trust_domain == ""
    with pytest.raises(Unavailable, match="no root yet"):
        await pair.second.leaf()
    tasks = Tasks()
    tasks.start(secondary.follow(), name="follow")
    await pair.clock.advance(10.0)
    await pair.primary.authority.initialise()
    await pair.clock.advance(60.0)
    await tasks.cancel()
    assert pair.second.store.ca.trust_domain == pair.primary.store.ca.trust_domain


async def test_an_authority_of_its_own_gives_way_to_the_primarys() -> None:
    pair = Pair()
    alone = Server(pair.clock, "dc2")
    await alone.authority.initialise()
    pair.second.store.restore(list(alone.store.snapshot()))
    own = pair.second.store.ca.active
    assert own is not None
    await pair.begin()
    table = pair.second.store.ca
    assert table.trust_domain == pair.primary.store.ca.trust_domain
    assert own.id not in table.roots
    assert own.id not in table.keys


async def test_what_a_secondary_may_be_configured_with() -> None:
    pair = Pair()
    await pair.begin()
    first, authority = pair.intermediate, pair.second.authority
    await authority.configure("consul", {"LeafCertTTL": "1h"}, False)
    assert (authority.settings().leaf_life, pair.intermediate) == (timedelta(hours=1), first)
    await authority.configure("consul", {"PrivateKeyType": "rsa"}, False)
    assert certs.facts(pair.intermediate.encode()).key_type == "rsa"
    key = certs.new_key("ec", 256).decode()
    for provider, config in (("vault", {"Token": "t", "Address": "http://x"}), ("consul", {"PrivateKey": key})):
        with pytest.raises(InternalError, match="error configuring provider"):
            await authority.configure(provider, config, False)


async def test_only_the_trust_domain_itself_gets_an_intermediate_and_only_from_the_primary() -> None:
    pair = Pair()
    with pytest.raises(Unavailable):
        await pair.primary.authority.sign_intermediate(b"")
    await pair.begin()
    key = certs.new_key("ec", 256)
    domain = pair.primary.store.ca.trust_domain
    for uri, names in ((f"spiffe://{domain}/ns/default/dc/dc1/svc/web", ()), (f"spiffe://{domain}", ("a.b",))):
        with pytest.raises(BadRequest, match="for spiffe"):
            await pair.primary.authority.sign_intermediate(certs.request(key, uri, names))
    with pytest.raises(InternalError, match="primary datacenter only"):
        await pair.second.authority.sign_intermediate(certs.request(key, f"spiffe://{domain}"))

"""What a peer tells that cannot be taken; tests/agent/peering/test_keeper.py has whole streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.peer_clusters import PeerCluster, joined

from meshagent.agent.grpc.channel import Call, Channel
from meshagent.agent.grpc.connection import Received
from meshagent.agent.peering import session as sessions
from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    Message,
    Packed,
    Request,
    Response,
    RootsOf,
    decode_message,
    encode_message,
    encode_names,
    encode_roots,
)
from meshagent.agent.peering.resources import encode_instances
from meshagent.agent.peering.session import Session
from meshagent.agent.peering.status import StreamStatus
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering.commands import PeeringSet, TrustBundleSet
from meshagent.catalog.peering.model import ESTABLISHING, Peering, TrustBundle

NO_NAME = "a service without a name, or with one that is too long"
NO_ADDRESSES = "addresses of servers that are none, or too many"
WEB = ServiceEntry(Node(name="n"), Service(id="web", name="web"), ())


class Talk:
    """A session of a cluster that dialed, and the other end."""

    def __init__(self, cluster: PeerCluster) -> None:
        self.cluster = cluster
        own, other = Channel(dials=True, max_message=1 << 24), Channel(dials=False, max_message=1 << 24)
        self.accepted: list[Call] = []
        other.on_call = self.accepted.append
        joined(own, other)
        self.status = StreamStatus()
        row = cluster.store.peerings.rows["alpha"]
        self.session = Session(cluster.agent, row, own.call("/a.B/C", "server"), self.status, dials=True)
        self.running = cluster.tasks.start(self.session.run(), name="session")

    @property
    def other(self) -> Call:
        """The other end."""
        return self.accepted[0]

    async def heard(self) -> list[Message]:
        """What the session said meanwhile."""
        await self.cluster.inside.settle()
        found: list[Message] = []
        while not self.other.events.empty():
            event = await self.other.next()
            if isinstance(event, Received):
                found.append(decode_message(event.message))
        return found

    async def say(self, message: Message) -> list[Message]:
        self.other.send(encode_message(message))
        return await self.heard()

    async def told(self, kind: str, id: str, resource: Packed | None, operation: int = 1) -> str:
        """Why the session did not take a resource; "" when it did."""
        (answer,) = await self.say(Response("07", kind, id, resource, operation))
        assert isinstance(answer, Request)
        assert (answer.nonce, answer.kind, answer.peer_id) == ("07", kind, "j")
        return answer.error.message if answer.error is not None else ""


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    cluster = PeerCluster()
    await cluster.start()
    name = "server.far.peering.t.consul"
    row = Peering(id="i", name="alpha", state=ESTABLISHING, dials=True, peer_id="j", server_name=name)
    await cluster.agent.write(PeeringSet(row))
    made = Talk(cluster)
    await made.heard()
    yield made
    await cluster.stop()


async def test_good_resources_are_written_and_acknowledged(talk: Talk) -> None:
    store = talk.cluster.store
    root = next(iter(store.ca.roots.values())).root_cert
    assert await talk.told(EXPORTED_SERVICE, "web", encode_instances("web", [WEB])) == ""
    assert await talk.told(TRUST_BUNDLE, "roots", encode_roots(RootsOf("t.consul", (root,)))) == ""
    assert await talk.told(SERVER_ADDRESSES, "x", encode_names(SERVER_ADDRESSES, ("10.0.0.1:8503",))) == ""
    assert store.imported.service_names("alpha") == talk.status.imported == ["web"]
    assert store.peerings.bundles["alpha"].trust_domain == "t.consul"
    assert store.peerings.rows["alpha"].addresses == ("10.0.0.1:8503",)
    assert await talk.told(EXPORTED_SERVICE, "web", None, 2) == ""
    assert store.imported.service_names("alpha") == []


@pytest.mark.parametrize(
    ("kind", "id", "resource", "problem"),
    [
        (EXPORTED_SERVICE, "", encode_instances("", []), "a service without a name, or with one that is too long"),
        (
            EXPORTED_SERVICE,
            "x" * 300,
            encode_instances("x", []),
            "a service without a name, or with one that is too long",
        ),
        (EXPORTED_SERVICE, "db", encode_instances("web", [WEB]), "a peer sent an instance of 'web' as one of db"),
        (TRUST_BUNDLE, "roots", encode_roots(RootsOf("t", ())), "0 roots; 1 to 32 are taken"),
        (
            SERVER_ADDRESSES,
            "x",
            encode_names(SERVER_ADDRESSES, ("no port",)),
            "addresses of servers that are none, or too many",
        ),
        (
            SERVER_ADDRESSES,
            "x",
            encode_names(SERVER_ADDRESSES, ("a:1",) * 65),
            "addresses of servers that are none, or too many",
        ),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_changes_nothing(
    talk: Talk, kind: str, id: str, resource: Packed, problem: str
) -> None:
    before = talk.cluster.store.index
    assert await talk.told(kind, id, resource) == problem
    assert talk.cluster.store.index == before
    assert not talk.running.done()


async def test_a_root_that_is_none_is_refused(talk: Talk) -> None:
    assert await talk.told(TRUST_BUNDLE, "roots", encode_roots(RootsOf("t", ("no pem",)))) != ""
    assert talk.cluster.store.peerings.bundles == {}


async def test_a_peer_speaks_for_its_own_trust_domain_only(talk: Talk) -> None:
    store = talk.cluster.store
    root = next(iter(store.ca.roots.values())).root_cert
    await talk.cluster.agent.write(PeeringSet(Peering(id="k", name="other")))
    await talk.cluster.agent.write(TrustBundleSet(TrustBundle(peer="other", trust_domain="o.consul", roots=(root,))))
    for domain, why in (
        (store.ca.trust_domain, "which is not the peer's"),
        ("o.consul", "which is not the peer's"),
        ("T.consul", "which is not the peer's"),
        ("", "which is not the peer's"),
        ("u.consul", "which its token does not name"),
    ):
        refused = await talk.told(TRUST_BUNDLE, "roots", encode_roots(RootsOf(domain, (root,))))
        assert refused == f"roots of the trust domain {domain!r}, {why}"
    assert "alpha" not in store.peerings.bundles


async def test_services_of_a_peer_are_bounded(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_NAMES", 1)
    names = encode_names(EXPORTED_SERVICE_LIST, ("a", "b"))
    assert await talk.told(EXPORTED_SERVICE_LIST, "x", names) == "more than 1 services"
    for name in ("web", "web-sidecar-proxy"):
        entry = ServiceEntry(Node(name="n"), Service(id=name, name=name), ())
        assert await talk.told(EXPORTED_SERVICE, name, encode_instances(name, [entry])) == ""
    third = ServiceEntry(Node(name="n"), Service(id="c", name="c"), ())
    assert await talk.told(EXPORTED_SERVICE, "c", encode_instances("c", [third])) == "more than 1 services"


async def test_a_message_that_is_none_ends_the_stream(talk: Talk) -> None:
    talk.other.send(b"\xff")
    await talk.heard()
    ended = await talk.running
    assert ended.reason == "protobuf: a number is cut off or too long"
    assert not talk.status.connected


async def test_the_end_of_the_call_ends_the_stream(talk: Talk) -> None:
    talk.other.finish(9, "not the leader")
    await talk.heard()
    assert (await talk.running).reason == "not the leader"


async def test_another_stream_takes_its_place(talk: Talk) -> None:
    talk.session.leave("another one")
    assert (await talk.running).reason == "another one"


async def test_what_a_slow_peer_does_not_take_is_offered_later(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_UNSENT", 0)
    await talk.cluster.put("/v1/catalog/register", {"Node": "m", "Address": "10.0.0.2", "Service": {"Service": "web"}})
    entry = {
        "Kind": "exported-services",
        "Name": "default",
        "Services": [{"Name": "web", "Consumers": [{"Peer": "alpha"}]}],
    }
    await talk.cluster.put("/v1/config", entry)
    await talk.say(Request(kind=EXPORTED_SERVICE))
    assert talk.status.exported == []
    monkeypatch.setattr(sessions, "MAX_UNSENT", 1 << 20)
    await talk.cluster.inside.clock.advance(1)
    assert [one.id for one in await talk.heard() if isinstance(one, Response)] == ["web", "web-sidecar-proxy"]
    assert talk.status.exported == ["web"]

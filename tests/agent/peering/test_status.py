from __future__ import annotations

from datetime import UTC, datetime

from meshagent.agent.peering.status import Statuses, shown, state_of
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering.commands import ImportedReplace, PeeringSet
from meshagent.catalog.peering.model import ACTIVE, PENDING, Peering
from meshagent.catalog.store import Store


def test_an_active_peering_without_a_stream_is_failing() -> None:
    row, statuses = Peering(id="i", name="east", state=ACTIVE), Statuses()
    assert state_of(row, None) == state_of(row, statuses) == "ACTIVE"
    status = statuses.of("i")
    assert state_of(row, statuses) == "FAILING"
    status.connected = True
    assert state_of(row, statuses) == "ACTIVE"
    assert state_of(Peering(id="i", state=PENDING), statuses) == "PENDING"


def test_it_is_shown_with_its_stream() -> None:
    statuses = Statuses()
    status = statuses.of("i")
    status.imported, status.last_receive = ["web"], datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = Peering(
        id="i", name="east", dials=True, peer_id="j", ca_pems=("pem",), server_name="s", server_addresses=("a:1",)
    )
    fields = shown(row, statuses)
    assert fields["StreamStatus"] == {
        "ImportedServices": ["web"],
        "ExportedServices": None,
        "LastHeartbeat": None,
        "LastReceive": "2026-01-02T03:04:05Z",
        "LastSend": None,
    }
    assert (fields["PeerID"], fields["PeerServerName"], fields["PeerServerAddresses"]) == ("j", "s", ("a:1",))
    assert {"Meta", "DeletedAt"}.isdisjoint(fields)
    assert {"PeerID", "PeerCAPems", "PeerServerName", "PeerServerAddresses"}.isdisjoint(shown(Peering(), None))


def test_a_server_without_streams_reads_names_from_the_catalog() -> None:
    store = Store()
    store.execute(PeeringSet(Peering(id="i", name="east", state=ACTIVE)))
    entry = ServiceEntry(Node(name="n"), Service(id="web", name="web"), ())
    store.execute(ImportedReplace("east", "web", (entry,)))
    row = store.peerings.rows["east"]
    assert shown(row, None, store)["StreamStatus"]["ImportedServices"] == ["web"]
    assert shown(row, None, store)["StreamStatus"]["ExportedServices"] == []
    pending = Peering(id="j", name="west", state=PENDING)
    assert shown(pending, None, store)["StreamStatus"]["ImportedServices"] is None

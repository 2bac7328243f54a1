"""What a leader knows of its streams to peers, and how a peering is shown with it.

Source: surface row PE3 (`StreamStatus`); developer.hashicorp.com/consul/api-docs/peering. A stream that is not open
makes an ACTIVE peering FAILING; everything else is what the catalog says. What may change here: nothing that a client
of Consul reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from meshagent.catalog.exports import exported_to
from meshagent.catalog.peering.model import ACTIVE, FAILING, Peering

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["Statuses", "StreamStatus", "shown"]


@dataclass(slots=True)
class StreamStatus:
    """One stream. Names are None until the first were told; times are aware."""

    connected: bool = False
    imported: list[str] | None = None
    exported: list[str] | None = None
    last_heartbeat: datetime | None = None
    last_receive: datetime | None = None
    last_send: datetime | None = None
    error: str = ""


@dataclass(slots=True)
class Statuses:
    """By peering id; empty on a server that does not lead."""

    by_id: dict[str, StreamStatus] = field(default_factory=dict)

    def of(self, peering_id: str) -> StreamStatus:
        """The status of a stream, made now if there is none."""
        return self.by_id.setdefault(peering_id, StreamStatus())


_UNKNOWN = StreamStatus()


def shown(row: Peering, statuses: Statuses | None, store: Store | None = None) -> dict[str, Any]:
    """A peering as the API shows it; what a stream would have told of services is otherwise read from `store`."""
    status = statuses.by_id.get(row.id, _UNKNOWN) if statuses is not None else _UNKNOWN
    imported, exported = status.imported, status.exported
    if store is not None and row.state == ACTIVE:
        imported = store.imported.service_names(row.name) if imported is None else imported
        exported = exported_to(store, row.name).rows if exported is None else exported
    fields: dict[str, Any] = {"ID": row.id, "Name": row.name}
    if row.deleted_at:
        fields["DeletedAt"] = row.deleted_at
    if row.meta:
        fields["Meta"] = row.meta
    fields["State"] = state_of(row, statuses)
    if row.peer_id:
        fields["PeerID"] = row.peer_id
    if row.ca_pems:
        fields["PeerCAPems"] = row.ca_pems
    if row.server_name:
        fields["PeerServerName"] = row.server_name
    if row.addresses:
        fields["PeerServerAddresses"] = row.addresses
    fields["StreamStatus"] = {
        "ImportedServices": imported,
        "ExportedServices": exported,
        "LastHeartbeat": _text(status.last_heartbeat),
        "LastReceive": _text(status.last_receive),
        "LastSend": _text(status.last_send),
    }
    fields["CreateIndex"], fields["ModifyIndex"] = row.create_index, row.modify_index
    fields["Remote"] = {"Partition": row.remote.partition, "Datacenter": row.remote.datacenter}
    return fields


def state_of(row: Peering, statuses: Statuses | None) -> str:
    """The state as it is shown: an ACTIVE one without a stream is FAILING, as far as this server can know."""
    if row.state != ACTIVE or statuses is None or row.id not in statuses.by_id:
        return row.state
    return ACTIVE if statuses.by_id[row.id].connected else FAILING


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")

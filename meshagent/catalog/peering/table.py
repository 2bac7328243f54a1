"""The table of peerings, with their secrets and the roots of the other clusters.

Source: surface rows PE1-PE3, M68; developer.hashicorp.com/consul/docs/east-west/cluster-peering/establish. Applying is
deterministic: digests are compared here, secrets never come this far. What may change here: nothing that a client of
Consul reads.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.peering.model import (
    ACTIVE,
    DELETING,
    TERMINATED,
    Peering,
    PeeringSecrets,
    Remote,
    TrustBundle,
)
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.catalog.peering import commands

__all__ = ["Peerings"]

_NO_SECRETS = PeeringSecrets()


class Peerings:
    """Peerings by name (lower case as they are), secrets by id, roots by name."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.rows: dict[str, Peering] = {}
        self.secrets: dict[str, PeeringSecrets] = {}
        self.bundles: dict[str, TrustBundle] = {}
        self.index = 0
        self._names: dict[str, str] = {}

    def of_id(self, peering_id: str) -> Peering | None:
        """The peering with that id."""
        name = self._names.get(peering_id)
        return None if name is None else self.rows[name]

    def secrets_of(self, peering_id: str) -> PeeringSecrets:
        """Its secrets; empty when there are none."""
        return self.secrets.get(peering_id, _NO_SECRETS)

    def may_open(self, peering_id: str, digest: str) -> bool:
        """Whether the secret with that digest opens a stream."""
        held = self.secrets_of(peering_id)
        good = [hmac.compare_digest(known, digest) for known in (held.active, held.pending) if known]
        return any(good)

    # --- writes ------------------------------------------------------------------------------------------------

    def set(self, command: commands.PeeringSet, index: int) -> None:
        """Write a peering. Raises InternalError."""
        row = command.peering
        old = self.rows.get(row.name)
        if old is not None and old.id != row.id:
            raise InternalError(f'A peering already exists with the name "{row.name}" and a different ID "{old.id}"')
        if old is not None and old.state == DELETING:
            raise InternalError(f'cannot write to peering "{row.name}": it is being deleted')
        self._put(row, index)
        if command.establishment or command.own is not None:
            held = self.secrets_of(row.id)
            self.secrets[row.id] = PeeringSecrets(
                id=row.id,
                establishment=command.establishment or held.establishment,
                pending=held.pending,
                active=held.active,
                own=command.own or held.own,
            )
            self._watches.notify("peering-secrets")

    def exchange(self, command: commands.PeeringExchange, index: int) -> bool:
        """Use up an establishment secret."""
        row, held = self.of_id(command.id), self.secrets_of(command.id)
        if row is None or not row.usable or not held.establishment:
            return False
        if not hmac.compare_digest(held.establishment, command.establishment):
            return False
        self.secrets[row.id] = msgspec.structs.replace(held, establishment="", pending=command.pending)
        return True

    def activate(self, command: commands.PeeringActivate, index: int) -> bool:
        """A stream is open."""
        row, held = self.of_id(command.id), self.secrets_of(command.id)
        if row is None or not row.usable:
            return False
        if command.secret and held.pending and hmac.compare_digest(held.pending, command.secret):
            self.secrets[row.id] = msgspec.structs.replace(held, active=held.pending, pending="")
        remote = row.remote
        if command.remote_datacenter:
            remote = Remote(partition=command.remote_partition, datacenter=command.remote_datacenter)
        self._change(row, index, state=ACTIVE, remote=remote)
        return True

    def tell(self, command: commands.PeeringTell, index: int) -> None:
        """Where the other side's servers are."""
        row = self.of_id(command.id)
        if row is not None and row.usable:
            self._change(row, index, server_addresses=command.addresses)

    def delete(self, command: commands.PeeringDelete, index: int) -> None:
        """Mark as being deleted."""
        row = self.rows.get(command.name)
        if row is not None and row.state != DELETING:
            self._change(row, index, state=DELETING, deleted_at=command.at)

    def terminate(self, command: commands.PeeringTerminate, index: int) -> None:
        """The other side has deleted it."""
        row = self.of_id(command.id)
        if row is not None and row.usable:
            self.secrets.pop(row.id, None)
            self._change(row, index, state=TERMINATED)

    def finish(self, row: Peering, index: int) -> None:
        """Nothing is imported any more from one that has ended: its roots go, and itself if it is being deleted."""
        if self.bundles.pop(row.name, None) is not None:
            self._watches.notify("peering-bundles")
        if row.state == DELETING:
            del self.rows[row.name]
            del self._names[row.id]
            self.secrets.pop(row.id, None)
            self._moved(row.name, index)

    def set_bundle(self, command: commands.TrustBundleSet, index: int) -> None:
        """Write the roots of a peer; nobody speaks for a trust domain that another peer speaks for."""
        bundle = command.bundle
        if any(one.trust_domain == bundle.trust_domain and one.peer != bundle.peer for one in self.bundles.values()):
            return
        row = self.rows.get(bundle.peer)
        if row is None or not row.usable:
            return
        old = self.bundles.get(bundle.peer)
        created = index if old is None else old.create_index
        if old is not None and (old.trust_domain, old.roots) == (bundle.trust_domain, bundle.roots):
            return
        self.bundles[bundle.peer] = msgspec.structs.replace(bundle, create_index=created, modify_index=index)
        self._watches.notify("peering-bundles")

    def mirror_bundles(self, rows: Iterable[TrustBundle]) -> None:
        """On an agent that is told them: these are all roots of peers."""
        self.bundles = {row.peer: row for row in rows}
        self._watches.notify("peering-bundles")

    # --- inside ------------------------------------------------------------------------------------------------

    def _change(self, row: Peering, index: int, **fields: object) -> None:
        changed = msgspec.structs.replace(row, **fields)
        if changed != row:
            self._put(changed, index)

    def _put(self, row: Peering, index: int) -> None:
        old = self.rows.get(row.name)
        created = index if old is None else old.create_index
        self.rows[row.name] = msgspec.structs.replace(row, create_index=created, modify_index=index)
        self._names[row.id] = row.name
        self._moved(row.name, index)

    def _moved(self, name: str, index: int) -> None:
        self.index = index
        self._watches.notify("peerings")
        self._watches.notify(("peering", name))

    # --- snapshots ---------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[Peering]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.rows[row.name] = row
            self._names[row.id] = row.name

    def load_secrets(self, rows: Iterable[PeeringSecrets]) -> None:
        """Fill the table from a snapshot."""
        self.secrets.update((row.id, row) for row in rows)

    def load_bundles(self, rows: Iterable[TrustBundle]) -> None:
        """Fill the table from a snapshot."""
        self.bundles.update((row.peer, row) for row in rows)

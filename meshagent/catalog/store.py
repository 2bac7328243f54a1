"""The state machine: tables, one index, deterministic apply, snapshot and restore.

Source: design.md "Raft" (what must hold); surface rows C11, C13. Applying a command depends on the old state and the
command, nothing else: no clock, no randomness, no order of sets. Every command moves `index` by one, whether it
changes something or not, so that it serves as Consul's index even when one log entry carries many commands.

Adding a replicated write: a struct in `commands.py`, a row in `_APPLY`. Adding a table: its own module, its rows in
`snapshot.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from meshagent.catalog import commands, txn
from meshagent.catalog.acl.tables import AclTables
from meshagent.catalog.autopilot.table import AutopilotTable
from meshagent.catalog.ca import ConnectCA
from meshagent.catalog.config_entries import ConfigEntries, virtual_names
from meshagent.catalog.coordinates import Coordinates
from meshagent.catalog.federation import FederationStates
from meshagent.catalog.history import History
from meshagent.catalog.introductions import Introductions
from meshagent.catalog.kv import KVTable
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.peering import commands as peering
from meshagent.catalog.peering.imported import Imported
from meshagent.catalog.peering.table import Peerings
from meshagent.catalog.prepared_queries import PreparedQueries
from meshagent.catalog.registrations import Registrations
from meshagent.catalog.sessions import Sessions
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.catalog.restoring import Restoring

__all__ = ["Store"]


class Store:
    """All replicated state of one datacenter. Implements `catalog.log.StateMachine`."""

    def __init__(self, watches: Watches | None = None) -> None:
        self.watches = watches if watches is not None else Watches()
        self.undo = Undo()
        self.index = 1  # an empty read answers index 1, so the first change must be above it
        self.cluster_id = ""
        #: Called when another state has taken this one's place: every row may be another.
        self.on_replaced: list[Callable[[], None]] = []
        self.kv: KVTable = KVTable(self.watches, self.undo)
        self.coordinates: Coordinates = Coordinates(self.watches, self.undo)
        self.prepared_queries: PreparedQueries = PreparedQueries(self.watches, self.undo)
        self.sessions: Sessions = Sessions(self.watches, self.undo, self.kv, self.prepared_queries.session_gone)
        self.config: ConfigEntries = ConfigEntries(self.watches)
        self.registrations: Registrations = Registrations(
            self.watches,
            self.undo,
            self.sessions.check_down,
            self.sessions.node_gone,
            self.config.names_service,
        )
        self.peerings: Peerings = Peerings(self.watches)
        self.imported: Imported = Imported(self.watches, self.registrations.virtual_ips)
        self.ca: ConnectCA = ConnectCA(self.watches)
        self.autopilot: AutopilotTable = AutopilotTable(self.watches)
        self.federation: FederationStates = FederationStates(self.watches)
        self.introductions: Introductions = Introductions()
        self.acl: AclTables = AclTables(self.watches)
        self.history: History = History(self.kv, self.config)

    def place(self, peer: str) -> Registrations:
        """What is registered here, or imported from a peer."""
        return self.imported.of(peer) if peer else self.registrations

    def apply(self, command: bytes) -> Any:
        """Apply an encoded command. Raises MeshError when the state refuses it; nothing but the index has moved."""
        return self.execute(commands.decode(command))

    def execute(self, command: commands.Command) -> Any:
        """Apply a command."""
        self.index += 1
        result = _APPLY[type(command)](self, command, self.index)
        if self.kv.changed or self.config.changed:  # somebody keeps versions, and there is one to keep
            self.history.settle(self.index)
        return result

    def flush(self) -> None:
        """Wake the readers whose topics changed, and say which locks were freed."""
        self.sessions.report()
        self.watches.flush()

    def snapshot(self) -> Iterator[bytes]:
        """The state at the moment of the call. Rows are immutable, so only the tables are copied now."""
        from meshagent.catalog import snapshot  # a client agent has no state to write

        return snapshot.write(self)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state, and wake every reader. Raises CorruptData and changes nothing when a chunk is damaged."""
        restoring = self.begin_restore()
        for chunk in chunks:
            restoring.load(chunk)
        restoring.finish()
        restoring.take_place()
        self.watches.flush()

    def begin_restore(self) -> Restoring:
        """A state to be read beside this one."""
        from meshagent.catalog.restoring import Restoring

        return Restoring(self, Store(self.watches))

    def has_tombstones(self, up_to: int) -> bool:
        """Whether anything deleted at `up_to` or before is still remembered."""
        return self.kv.has_tombstones(up_to) or any(at <= up_to for at in self.registrations.gone_nodes.values())

    def digest(self) -> str:
        """SHA-256 of the whole state: equal on two servers exactly when their states are."""
        from meshagent.catalog import snapshot

        return snapshot.digest(self)

    # --- what a command touches in more than one table ---------------------------------------------------------

    def deregister(self, command: commands.Deregister, index: int) -> None:
        """Remove an instance, a check, or a node with its coordinates."""
        self.registrations.deregister(command, index)
        if not command.service_id and not command.check_id:
            self.coordinates.remove(command.node, index)

    def lock(self, command: commands.KVLock, index: int) -> bool:
        """Write a key and take its lock. Raises InternalError for a session that is not there."""
        if not command.session:
            raise InternalError("missing session")
        if command.session not in self.sessions.rows:
            raise InternalError(f'invalid session "{command.session}"')
        held = self.kv.lock(command, index)
        if held:
            self.sessions.locked(command.key)
        return held

    def unlock(self, command: commands.KVUnlock, index: int) -> bool:
        """Write a key and give its lock back. Raises InternalError without a session."""
        if not command.session:
            raise InternalError("missing session")
        return self.kv.unlock(command, index)

    def _as_author(self, command: commands.Authored, index: int) -> Any:
        """Apply what an author writes, and keep what was there."""
        self.history.begin(command)
        try:
            return _APPLY[type(command.command)](self, command.command, index)
        finally:
            self.history.settle(index)

    def _init_cluster(self, command: commands.ClusterInit, index: int) -> str:
        if not self.cluster_id:
            self.cluster_id = command.id
            self.config.index = max(self.config.index, index)  # an empty table began, too: Consul's answers 1 nowhere
            self.watches.notify("cluster")
        return self.cluster_id

    def _set_entry(self, command: commands.ConfigEntrySet, index: int) -> bool:
        old = self.config.get(command.entry.kind, command.entry.name)
        written = self.config.set(command, index)
        if written:
            for name in virtual_names(command.entry):
                self.registrations.virtual_ips.assign(name)
                self.watches.notify(("connect", name))
                self.watches.notify(MESH_SERVICES)
            if old is not None:
                self._release_addresses(virtual_names(old))
        return written

    def _delete_entry(self, command: commands.ConfigEntryDelete, index: int) -> bool:
        old = self.config.get(command.kind, command.name)
        deleted = self.config.delete(command, index)
        if deleted and old is not None:
            self._release_addresses(virtual_names(old))
        return deleted

    def _release_addresses(self, names: Iterable[str]) -> None:
        """Free the virtual addresses of services that nothing names any more (surface row M5)."""
        for name in names:
            if not self.registrations.named(name) and not self.config.names_service(name):
                self.registrations.virtual_ips.release(name)
                self.watches.notify(("connect", name))
                self.watches.notify(MESH_SERVICES)

    def purge_peering(self, command: peering.PeeringPurge, index: int) -> bool:
        """Remove a slice of what was imported from a peering that has ended; whether nothing is left."""
        row = self.peerings.of_id(command.id)
        if row is None or row.usable:
            return True
        if not self.imported.keep(peering.ImportedKeep(row.name, (), command.limit), index):
            return False
        self.peerings.finish(row, index)
        return True

    def replace_imported(self, command: peering.ImportedReplace, index: int) -> None:
        """Write the instances of a peer's service, if there is such a peer."""
        row = self.peerings.rows.get(command.peer)
        if row is not None and row.usable:
            self.imported.replace(command, index)

    def set_manual_ips(self, command: commands.ManualIPsSet, index: int) -> list[str] | None:
        """Give a service its manual addresses."""
        losers = self.registrations.virtual_ips.set_manual(command.service, command.addresses)
        if losers is not None:
            self.watches.notify("virtual-ips")
            self.watches.notify(MESH_SERVICES)
        return losers

    def _reap(self, command: commands.ReapTombstones, index: int) -> None:
        self.kv.reap(command.index)
        self.registrations.reap(command.index)


_APPLY: dict[type, Callable[[Store, Any, int], Any]] = {
    commands.Register: lambda store, command, index: store.registrations.register(command, index),
    commands.Deregister: Store.deregister,
    commands.KVSet: lambda store, command, index: store.kv.set(command, index),
    commands.KVCas: lambda store, command, index: store.kv.cas(command, index),
    commands.KVDelete: lambda store, command, index: store.kv.delete(command, index),
    commands.KVDeleteCas: lambda store, command, index: store.kv.delete_cas(command, index),
    commands.KVDeleteTree: lambda store, command, index: store.kv.delete_tree(command, index),
    commands.KVLock: Store.lock,
    commands.KVUnlock: Store.unlock,
    commands.CoordinateBatch: lambda store, command, index: store.coordinates.update(
        command, index, store.registrations.nodes.__contains__
    ),
    commands.ReapTombstones: Store._reap,
    commands.PreparedQuerySet: lambda store, command, index: store.prepared_queries.set(
        command.query, index, store.sessions.rows.__contains__
    ),
    commands.PreparedQueryDelete: lambda store, command, index: store.prepared_queries.delete(command.id, index),
    commands.SessionCreate: lambda store, command, index: store.sessions.create(
        command.session, store.registrations, index
    ),
    commands.SessionDestroy: lambda store, command, index: store.sessions.destroy(command.id, index),
    commands.Txn: lambda store, command, index: txn.apply(store, command.ops, index),
    commands.ConfigEntrySet: Store._set_entry,
    commands.ConfigEntryDelete: Store._delete_entry,
    commands.CASet: lambda store, command, index: store.ca.set(command, index),
    commands.CASerials: lambda store, command, index: store.ca.take_serials(command, index),
    commands.CAAdopt: lambda store, command, index: store.ca.adopt(command, index),
    commands.CADrop: lambda store, command, index: store.ca.drop(command, index),
    commands.ClusterInit: Store._init_cluster,
    commands.FederationStateSet: lambda store, command, index: store.federation.set(command, index),
    commands.ManualIPsSet: Store.set_manual_ips,
    commands.IntroductionTake: lambda store, command, index: store.introductions.take(command),
    commands.Authored: Store._as_author,
    commands.HistoryDrop: lambda store, command, index: store.history.drop(),
    commands.AutopilotSet: lambda store, command, index: store.autopilot.set(command, index),
    commands.AclBootstrap: lambda store, command, index: store.acl.bootstrap(command, index),
    commands.AclTokenSet: lambda store, command, index: store.acl.set_token(command, index),
    commands.AclTokensDelete: lambda store, command, index: store.acl.delete_tokens(command, index),
    commands.AclPolicySet: lambda store, command, index: store.acl.set_policy(command, index),
    commands.AclPolicyDelete: lambda store, command, index: store.acl.delete_policy(command, index),
    commands.AclRoleSet: lambda store, command, index: store.acl.set_role(command, index),
    commands.AclRoleDelete: lambda store, command, index: store.acl.delete_role(command, index),
    commands.AclMethodSet: lambda store, command, index: store.acl.set_method(command, index),
    commands.AclMethodDelete: lambda store, command, index: store.acl.delete_method(command, index),
    commands.AclBindingRuleSet: lambda store, command, index: store.acl.set_rule(command, index),
    commands.AclBindingRuleDelete: lambda store, command, index: store.acl.delete_rule(command, index),
    commands.AclTokensUsed: lambda store, command, index: store.acl.note_used(command, index),
    peering.PeeringSet: lambda store, command, index: store.peerings.set(command, index),
    peering.PeeringExchange: lambda store, command, index: store.peerings.exchange(command, index),
    peering.PeeringActivate: lambda store, command, index: store.peerings.activate(command, index),
    peering.PeeringTell: lambda store, command, index: store.peerings.tell(command, index),
    peering.PeeringDelete: lambda store, command, index: store.peerings.delete(command, index),
    peering.PeeringTerminate: lambda store, command, index: store.peerings.terminate(command, index),
    peering.PeeringPurge: Store.purge_peering,
    peering.TrustBundleSet: lambda store, command, index: store.peerings.set_bundle(command, index),
    peering.ImportedReplace: Store.replace_imported,
    peering.ImportedKeep: lambda store, command, index: store.imported.keep(command, index),
}

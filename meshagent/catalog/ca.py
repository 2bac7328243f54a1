"""The replicated state of the mesh's certificate authority: cluster id, configuration, roots, signing keys, serials.

Keys live here and nowhere else on disk, sealed when the servers have a key file (connect/sealing.py): this table keeps
what it is given. One root is active; a root that was replaced stays trusted until it is dropped, so that leaves signed
by it go on verifying.

Source: surface rows CN1, CN2, M60, M64, M65; the stages A-E of the golden mesh data (leaf.md). What may change here:
fields are appended with a default (they live in logs and snapshots). No certificate is looked into.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog.watch import Watches

if TYPE_CHECKING:
    from meshagent.catalog import commands

__all__ = ["TRUST_DOMAIN_SUFFIX", "CAConfig", "CAKey", "CARoot", "CAState", "ConnectCA"]

#: A trust domain is the cluster id and this, whatever the DNS domain is (surface row M60).
TRUST_DOMAIN_SUFFIX = ".consul"


class CAConfig(msgspec.Struct, frozen=True, array_like=True):
    """Who signs and how. `config` has the keys as they were sent, but for a private key, which is in `CAKey`."""

    provider: str = "consul"
    config: dict[str, Any] = {}
    force_without_cross_signing: bool = False
    create_index: int = 0
    modify_index: int = 0


class CARoot(msgspec.Struct, frozen=True, array_like=True):
    """A root certificate. Times are RFC 3339; `serial` has the low 64 bits; `intermediates` are PEM texts."""

    id: str
    name: str
    serial: int
    signing_key_id: str
    external_trust_domain: str
    not_before: str
    not_after: str
    root_cert: str
    intermediates: tuple[str, ...] = ()
    active: bool = True
    key_type: str = "ec"
    key_bits: int = 256
    create_index: int = 0
    modify_index: int = 0
    #: When another root took its place; "" while it is active.
    rotated_out_at: str = ""


class CAKey(msgspec.Struct, frozen=True, array_like=True):
    """The private key of a root: PEM text, or what `connect/sealing.py` made of it (`sealed_by` names its key)."""

    root_id: str
    data: bytes
    sealed_by: str = ""


class CAState(msgspec.Struct, frozen=True, array_like=True):
    """All of it, as one row of a snapshot."""

    cluster_id: str
    serial: int
    index: int
    roots_index: int
    config: CAConfig | None
    roots: tuple[CARoot, ...]
    keys: tuple[CAKey, ...]


class ConnectCA:
    """The table. `roots` are kept by id."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.cluster_id = ""
        self.serial = 0
        self.config: CAConfig | None = None
        self.roots: dict[str, CARoot] = {}
        self.keys: dict[str, CAKey] = {}
        #: When anything here changed last, and when the roots did.
        self.index = 0
        self.roots_index = 0

    @property
    def trust_domain(self) -> str:
        """`<cluster id>.consul`, "" before there is a cluster id."""
        return self.cluster_id + TRUST_DOMAIN_SUFFIX if self.cluster_id else ""

    @property
    def active(self) -> CARoot | None:
        """The root whose key signs."""
        return next((root for root in self.roots.values() if root.active), None)

    def key_of(self, root: CARoot) -> CAKey | None:
        """The key of a root; None when an outside provider holds it."""
        return self.keys.get(root.id)

    # --- writes ------------------------------------------------------------------------------------------------

    def set(self, command: commands.CASet, index: int) -> bool:
        """Write configuration and, with `root`, make that root the active one. False when `expect` does not hold."""
        if command.expect != (self.config.modify_index if self.config is not None else 0):
            return False
        self.index = index
        if command.cluster_id and not self.cluster_id:
            self.cluster_id = command.cluster_id
        created = self.config.create_index if self.config is not None else index
        self.config = msgspec.structs.replace(command.config, create_index=created, modify_index=index)
        if command.root is not None:
            self._rotate(command.root, command.key, command.at, index)
        self._watches.notify("ca-config")
        return True

    def take_serials(self, command: commands.CASerials, index: int) -> tuple[int, int]:
        """(first of `count` numbers that were never given, the index of this write)."""
        first = self.serial + 1
        self.serial += max(1, command.count)
        self.index = index
        return first, index

    def drop(self, command: commands.CADrop, index: int) -> None:
        """Forget roots that are no longer active, with their keys."""
        gone = [root_id for root_id in command.roots if root_id in self.roots and not self.roots[root_id].active]
        for root_id in gone:
            del self.roots[root_id]
            self.keys.pop(root_id, None)
        if gone:
            self._changed(index)

    def adopt(self, command: commands.CAAdopt, index: int) -> bool:
        """Trust another datacenter's roots in place of all that are here. False when `expect` does not hold."""
        if command.expect != self.roots_index:
            return False
        self.cluster_id = command.cluster_id
        held, self.roots = self.roots, {}
        for root in command.roots:
            old = held.get(root.id)
            row = msgspec.structs.replace(root, create_index=index, modify_index=index)
            if old is not None:
                kept = msgspec.structs.replace(row, create_index=old.create_index, modify_index=old.modify_index)
                row = old if kept == old else msgspec.structs.replace(row, create_index=old.create_index)
            self.roots[root.id] = row
        if command.key is not None:
            self.keys = {command.key.root_id: command.key}
        self.keys = {root_id: key for root_id, key in self.keys.items() if root_id in self.roots}
        self._changed(index)
        return True

    def _rotate(self, root: CARoot, key: CAKey | None, at: str, index: int) -> None:
        self.roots = {
            held.id: msgspec.structs.replace(
                held, active=False, modify_index=index, rotated_out_at=held.rotated_out_at or at
            )
            for held in self.roots.values()
        }
        old = self.roots.get(root.id)
        created = old.create_index if old is not None else index
        self.roots[root.id] = msgspec.structs.replace(
            root, active=True, create_index=created, modify_index=index, rotated_out_at=""
        )
        if key is not None:
            self.keys[root.id] = key
        self._changed(index)

    def _changed(self, index: int) -> None:
        self.index = self.roots_index = index
        self._watches.notify("ca-roots")

    # --- snapshots ---------------------------------------------------------------------------------------------

    def state(self) -> list[CAState]:
        """The row of a snapshot; none when there was never anything."""
        if not self.index:
            return []
        roots = tuple(self.roots[at] for at in sorted(self.roots))
        keys = tuple(self.keys[at] for at in sorted(self.keys))
        return [CAState(self.cluster_id, self.serial, self.index, self.roots_index, self.config, roots, keys)]

    def load(self, rows: Iterable[CAState]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.cluster_id, self.serial, self.config = row.cluster_id, row.serial, row.config
            self.index, self.roots_index = row.index, row.roots_index
            self.roots = {root.id: root for root in row.roots}
            self.keys = {key.root_id: key for key in row.keys}

"""I/O edge: what a person, or autopilot, does with the log: begin a cluster, change its members, save and restore.

Source: surface rows O1 to O4, SN1, SN2, G4.

What may be changed: nothing here may assume that this server leads, or has started.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator

from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.catalog.raft.membership import Membership
from meshagent.catalog.raft.observed import Observed
from meshagent.catalog.raft.putting_back import PuttingBack
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.raft.waiting import again
from meshagent.errors import Conflict, MeshError, NoLeader, Unavailable

__all__ = ["Operated"]


class Operated(Observed):
    """The part of `RaftLog` that people use."""

    _state: ReplicatedState
    _membership: Membership  # from the start on
    _putting_back: PuttingBack
    _compaction: Compaction | None
    _failure: MeshError | None
    _refusal: MeshError | None
    _tick_soon: Callable[[], None]

    async def bootstrap(self, servers: dict[str, str] | Configuration) -> None:
        """Begin a cluster of `servers` (voters, node id to address; this one among them); for a log that `joins`.

        It is on disk on return; who leads is then decided by election. One server of a new cluster is enough, as the
        others learn it from the leader; where several begin, all must name the same servers.

        Raises:
            Conflict: this server has been part of a cluster already, or is not among `servers`.
            Unavailable: the disk did not take it.
        """
        if not self._started or self._failure is not None:
            raise again(self._failure or Unavailable("the log of this server does not run"))
        if self.has_state:
            raise Conflict("this server has been part of a cluster already: it cannot begin another")
        await self._membership.bootstrap(servers)

    async def add_server(self, node_id: str, address: str, *, voter: bool = False) -> None:
        """Add a server without a vote, promote one that has caught up, or change an address; returns when committed.

        Raises:
            NoLeader, Unavailable: not now. Conflict: not in this order.
        """
        await self._changing().change(lambda engine: engine.add(Server(node_id, address, voter)))

    async def remove_server(self, node_id: str) -> None:
        """Returns when a quorum of those that remain knows. Raises as `add_server`."""
        await self._changing().change(lambda engine: engine.remove(node_id))

    def transfer_leadership(self, node_id: str | None = None) -> None:
        """Hand over to the voter `node_id`, or to the one that has most of the log. Raises NoLeader, Conflict."""
        self._changing().transfer(node_id)

    def _changing(self) -> Membership:
        if not self._started:
            raise NoLeader
        return self._membership

    def reload(self, settings: RaftSettings) -> None:
        """Take the snapshot settings of `settings` (surface row G4); the others need a restart."""
        if self._compaction is not None:
            self._compaction.reload(settings)

    async def snapshot(self) -> None:
        """Take a snapshot now and cut the log behind it (nothing to do in memory)."""
        if self._compaction is not None:
            await self._compaction.snapshot()

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        """(the last entry applied here, the machine's chunks as of now, which are made while iterating)."""
        return SnapshotId(self._engine.applied_index, self._engine.applied_term), self._state.machine.snapshot()

    async def restore_snapshot(self, chunks: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        """Put back the state that the machine's `chunks` are, on every server; returns when it is in use here.

        It goes through the log: whatever happens, all servers have the old state or all have the new one. Indexes go
        on upward. Writes are taken meanwhile, and replaced with everything else.

        Raises:
            NoLeader: this server does not lead, or no more. Conflict: another restore is under way.
            CorruptData: a chunk is damaged or missing; nothing has changed. Unavailable: the disk.
        """
        if not self._started or not self._engine.takes_commands:
            raise NoLeader
        if self._refusal is not None:
            raise again(self._refusal)
        try:
            await self._putting_back.run(self._engine.term, chunks)
        finally:
            self._tick_soon()  # what is left of it is thrown away

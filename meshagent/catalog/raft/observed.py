"""What can be seen of the log on this server: role, leader, members, how far it has come. Nothing here changes it.

Source: surface rows A1, G20 (`KnownLeader`, `LastContact`); Ongaro (2014), section 6.4, for what `is_leader` promises.

What may be changed: every fact has an answer before the start, too.
"""

from __future__ import annotations

from meshagent.catalog.raft.configuration import Server
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.stats import raft_stats
from meshagent.clock import Clock

__all__ = ["Observed"]


class Observed:
    """The part of `RaftLog` that only looks."""

    _engine: Engine  # from the start on
    _started: bool
    _ever_heard: bool
    _node_id: str
    _address: str
    _journal: Journal
    _clock: Clock

    @property
    def applied_index(self) -> int:
        """Index of the last entry that was applied here; 0 before the start."""
        return self._engine.applied_index if self._started else 0

    @property
    def applied_term(self) -> int:
        return self._engine.applied_term if self._started else 0

    @property
    def last_index(self) -> int:
        """Index of the last entry in this server's log; 0 before the start."""
        return self._engine.last_index if self._started else 0

    @property
    def is_leader(self) -> bool:
        return self._started and self._engine.leads

    @property
    def leader(self) -> str:
        leader = self._engine.leader_id if self._started else None
        if leader == self._node_id:
            return self._address
        server = None if leader is None else self._engine.configuration.get(leader)
        return "" if server is None else server.address

    @property
    def leader_id(self) -> str | None:
        """The node id of the leader that is known here."""
        return self._engine.leader_id if self._started else None

    @property
    def last_contact_ms(self) -> int:
        if not self._started or self._engine.leads:
            return 0
        return int((self._clock.monotonic() - self._engine.heard_at) * 1000)

    @property
    def term(self) -> int:
        return self._engine.term if self._started else 0

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied all that earlier leaders committed, whatever its lease."""
        return self._started and self._engine.is_ready

    @property
    def has_others(self) -> bool:
        """Whether there is another server."""
        return self._started and self._engine.peer_count > 0

    @property
    def has_heard(self) -> bool:
        """Whether it leads, or has heard a leader since its start: before that its state may be years old."""
        return self._ever_heard

    @property
    def has_state(self) -> bool:
        """Whether this server has ever been part of a cluster; known after the start."""
        return self._started and not (self._journal.is_new and not self._engine.configuration.servers)

    @property
    def incarnation(self) -> int:
        """Which data directory this server has (`vote.py`); known after the start."""
        return self._journal.incarnation

    @property
    def servers(self) -> tuple[Server, ...]:
        """The configuration in force here."""
        return self._engine.configuration.servers if self._started else ()

    @property
    def configuration_index(self) -> int:
        """Index of the entry that holds the configuration in force; 0 for that of a new cluster."""
        index = self._engine.configuration_index if self._started else 0
        return index if index > 1 else 0

    def known_index(self, node_id: str) -> int:
        """How much of the log a server is known here to have."""
        return self.last_index if node_id == self._node_id else self.match_index(node_id)

    def match_index(self, node_id: str) -> int:
        """How much of the log another server is known to have (on the leader)."""
        return self._engine.match_index(node_id)

    def stats(self) -> dict[str, str]:
        return raft_stats(self._engine, self._journal.snapshot, self.last_contact_ms) if self._started else {}

"""I/O edge: which servers there are: to begin a cluster, to add and remove servers, to hand over leadership.

Source: Ongaro (2014), sections 4.1 (one server at a time) and 3.10 (leadership transfer); surface rows O1 to O4.

What may be changed: a cluster is begun on disk before anything is said of it (`members.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from meshagent.catalog.raft.configuration import Configuration, Server, initial
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.members import Members
from meshagent.catalog.raft.waiting import Waiting
from meshagent.clock import Clock
from meshagent.errors import Conflict, NoLeader, Unavailable

__all__ = ["Membership"]


class Membership:
    """`wake` is called when others are to be watched, or something is to be sent."""

    def __init__(
        self,
        server: Server,
        engine: Engine,
        journal: Journal,
        waiters: Waiting,
        clock: Clock,
        *,
        stays_alone: bool,
        wake: Callable[[], None],
    ) -> None:
        self._server = server
        self._engine = engine
        self._journal = journal
        self._waiters = waiters
        self._clock = clock
        self._stays_alone = stays_alone
        self._wake = wake

    async def bootstrap(self, servers: dict[str, str] | Configuration) -> None:
        """`RaftLog.bootstrap`, for a server that has no state yet."""
        configuration = servers if isinstance(servers, Configuration) else initial(servers)
        self._check_alone(configuration)
        own = replace(self._server, incarnation=self._journal.incarnation)
        if own not in configuration.servers and self._server not in configuration.servers:
            raise Conflict(f"server {own.node_id} at {own.address} must be one of those that begin, and vote")
        configuration = configuration.having(own)
        try:
            await self._journal.keep_members(Members(0, configuration))
        except OSError as error:
            raise Unavailable(f"the servers could not be written to disk: {error}") from error
        self._engine.bootstrap(configuration)
        self._wake()

    def _check_alone(self, configuration: Configuration) -> None:
        if self._stays_alone and len(configuration.servers) > 1:
            raise Conflict("a server without a data directory (-dev) forgets its vote: it cannot be one of several")

    async def change(self, wanted: Callable[[Engine], Configuration]) -> None:
        """Have the configuration that `wanted` gives; returns when that is committed. Raises NoLeader."""
        engine = self._engine
        if not engine.takes_commands:
            raise NoLeader
        configuration = wanted(engine)
        self._check_alone(configuration)
        if configuration == engine.configuration:
            return
        future = self._waiters.change(engine.change(configuration))
        self._journal.sync()
        self._wake()
        await future

    def transfer(self, node_id: str | None) -> None:
        """`RaftLog.transfer_leadership`."""
        engine = self._engine
        if not engine.takes_commands:
            raise NoLeader
        others = engine.voters - {self._server.node_id}
        if node_id is None:
            node_id = max(sorted(others), key=engine.match_index, default="")
        if node_id not in others:
            raise Conflict(f"server {node_id!r} is not another one that votes")
        engine.transfer(node_id, self._clock.monotonic())
        self._wake()

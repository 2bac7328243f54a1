"""The table of sessions: what they hang on, and what becomes of their locks when they end.

Source: surface rows SE1-SE5, E5-E7; developer.hashicorp.com/consul/docs/dynamic-app-config/sessions. A session ends
when it is destroyed, when a check it names turns critical or goes, and when its node goes: all of that inside the
command that does it, so every server ends it at the same index. Its time to live is a timer of the leader
(`agent/session_ttl.py`) that proposes `SessionDestroy`.

The lock-delay needs a clock, so the table only says which keys were freed and for how long nobody may lock them
(`freed`); `lock_delay.py` times it.

=====================  ==================================================================
topic                  changes with
=====================  ==================================================================
sessions               any session
(session, id)          that session
(session-node, n)      a session on node n (lower case)
=====================  ==================================================================

Sessions have one index for the whole table, like Consul's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from meshagent.catalog.kv import KVTable
from meshagent.catalog.model import Session
from meshagent.catalog.registrations import Registrations
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

__all__ = ["MAX_LOCK_DELAY_NS", "Sessions"]

#: Longer delays count as this one (surface row E7).
MAX_LOCK_DELAY_NS = 60_000_000_000


class Sessions:
    """All sessions of one datacenter."""

    def __init__(
        self, watches: Watches, undo: Undo, kv: KVTable, ended: Callable[[str, int], None] = lambda session, index: None
    ) -> None:
        self._watches = watches
        self._undo = undo
        self._kv = kv
        self._ended = ended
        self.rows: dict[str, Session] = {}
        self.index = 0
        self.with_ttl: dict[str, Session] = {}
        """The sessions that end when they are not renewed."""
        self.freed: dict[str, int] = {}
        """Keys freed since the last `report` -> nanoseconds during which they may not be locked. Not replicated."""
        self.on_freed: Callable[[dict[str, int]], None] | None = None
        """Is given `freed` after each batch of commands. Until somebody listens, it waits here."""
        self._on_node: dict[str, set[str]] = {}
        self._by_check: dict[tuple[str, str], set[str]] = {}

    # --- reads -------------------------------------------------------------------------------------------------

    def all(self) -> list[Session]:
        """Every session, by id."""
        return [self.rows[session_id] for session_id in sorted(self.rows)]

    def on_node(self, node: str) -> list[Session]:
        """The sessions of a node, by id."""
        return [self.rows[session_id] for session_id in sorted(self._on_node.get(node.lower(), ()))]

    # --- writes ------------------------------------------------------------------------------------------------

    def create(self, session: Session, registrations: Registrations, index: int) -> None:
        """Begin a session.

        Raises:
            InternalError: its node or a check is missing, or a check is critical.
        """
        node = session.node.lower()
        if node not in registrations.nodes:
            raise InternalError("Missing node registration")
        for check_id in (*session.node_checks, *(check.id for check in session.service_checks or ())):
            check = registrations.checks.get((node, check_id.lower()))
            if check is None:
                raise InternalError(f"Missing check '{check_id}' registration")
            if check.status == "critical":
                raise InternalError(f"Check '{check_id}' is in critical state")
        old = self.rows.get(session.id)
        created = old.create_index if old is not None else index
        self._store(session.id, msgspec.structs.replace(session, create_index=created, modify_index=index), index)

    def destroy(self, session_id: str, index: int) -> None:
        """End a session, if it is there, and free or delete the keys it holds."""
        session = self.rows.get(session_id)
        if session is None:
            return
        self._store(session_id, None, index)
        self._ended(session_id, index)
        delay_ns = min(session.lock_delay, MAX_LOCK_DELAY_NS)
        for key in self._kv.held_by(session_id):
            if session.behavior == "delete":
                self._kv.remove(key, index)
            else:
                self._kv.release(key, index)
            if delay_ns > 0:
                self._delay(key, delay_ns)

    def check_down(self, node: str, check_id: str, index: int) -> None:
        """A check (lower-case names) is critical or has gone: whoever hangs on it ends."""
        for session_id in sorted(self._by_check.get((node, check_id), ())):
            self.destroy(session_id, index)

    def node_gone(self, node: str, index: int) -> None:
        """A node (lower-case name) has gone, and its sessions with it."""
        for session_id in sorted(self._on_node.get(node, ())):
            self.destroy(session_id, index)

    def locked(self, key: str) -> None:
        """A key has been locked: whoever proposed that knew its delay to be over."""
        if key in self.freed:
            self._delay(key, 0)

    def report(self) -> None:
        """A batch has been applied: tell the listener which keys were freed."""
        if self.freed and self.on_freed is not None:
            freed, self.freed = self.freed, {}
            self.on_freed(freed)

    def load(self, rows: Iterable[Session]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self._link(row)

    def _store(self, session_id: str, row: Session | None, index: int) -> None:
        """Put `row` in its place, or nothing, and keep what is derived from it."""
        old = self.rows.get(session_id)
        self._undo.note(self._store, session_id, old, self.index)
        if old is not None:
            self._unlink(old)
        if row is not None:
            self._link(row)
        self.index = index
        self._watches.notify("sessions")
        self._watches.notify(("session", session_id))
        for changed in (old, row):
            if changed is not None:
                self._watches.notify(("session-node", changed.node.lower()))

    def _delay(self, key: str, delay_ns: int) -> None:
        self._undo.note(self._delay, key, self.freed.get(key, 0))
        if delay_ns:
            self.freed[key] = delay_ns
        else:
            self.freed.pop(key, None)

    def _link(self, row: Session) -> None:
        node = row.node.lower()
        self.rows[row.id] = row
        if row.ttl:
            self.with_ttl[row.id] = row
        self._on_node.setdefault(node, set()).add(row.id)
        for check_id in row.check_ids:
            self._by_check.setdefault((node, check_id), set()).add(row.id)

    def _unlink(self, row: Session) -> None:
        node = row.node.lower()
        del self.rows[row.id]
        self.with_ttl.pop(row.id, None)
        _discard(self._on_node, node, row.id)
        for check_id in row.check_ids:
            _discard(self._by_check, (node, check_id), row.id)


def _discard(table: dict[str, set[str]] | dict[tuple[str, str], set[str]], key: object, member: str) -> None:
    members = table[key]  # type: ignore[index]
    members.discard(member)
    if not members:
        del table[key]  # type: ignore[arg-type]

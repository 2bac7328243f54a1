"""serf's table of members: who is alive, leaving, left or failed, by memberlist's notices and the intents of members.

memberlist knows whether a node answers. Whether one that stopped had meant to is told by its leave intent: with it the
node has left, without it it has failed. Intents are ordered by Lamport time, the newest counts.

Source: serf's member handling as facts (surface section 9.3, golden notes "Clocks"); a notice of departure in
memberlist's own words (state left) counts as the intent, should that have been lost. What may change here: what peers
cannot see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from meshagent.agent.gossip.intents import Intents
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.serf_messages import Join, Leave
from meshagent.agent.gossip.serf_signals import Change, MembersChanged

__all__ = ["Entry", "MemberTable"]

#: A member that fails and is back within this time flaps.
FLAP_S = 60.0


class Entry:
    """One member: `status_ltime` is the member time of its last intent, `since` when it left or failed."""

    __slots__ = ("_seen", "node", "since", "status", "status_ltime", "tags")

    def __init__(self, node: Node, tags: dict[str, str]) -> None:
        self.node = node
        self.tags = tags
        self.status = Status.ALIVE
        self.status_ltime = 0
        self.since = 0.0
        self._seen: tuple[Node, dict[str, str], Status, Member] | None = None

    def member(self) -> Member:
        """As others see it; the same value until it changes."""
        if (
            (seen := self._seen) is not None
            and seen[0] is self.node
            and seen[1] is self.tags
            and seen[2] is self.status
        ):
            return seen[3]
        low, high, current, delegate_low, delegate_high, delegate = (*self.node.versions, *bytes(6))[:6]
        member = Member(
            name=self.node.name,
            addr=self.node.ip,
            port=self.node.port,
            tags=self.tags,
            status=int(self.status),
            protocol_min=low,
            protocol_max=high,
            protocol_cur=current,
            delegate_min=delegate_low,
            delegate_max=delegate_high,
            delegate_cur=delegate,
        )
        self._seen = (self.node, self.tags, self.status, member)
        return member


class MemberTable:
    """All members by name. Changes are queued in `changes`; whoever drives the table takes them away."""

    def __init__(self, *, prune_delay_s: float) -> None:
        self.changes: list[MembersChanged] = []
        self.counts: Counter[str] = Counter()
        self._entries: dict[str, Entry] = {}
        self._down: dict[str, Entry] = {}
        self._prunes: dict[str, float] = {}
        self._ids: dict[str, str] = {}
        self._intents = Intents()
        self._prune_delay_s = prune_delay_s

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: str) -> Entry | None:
        """The member of that name."""
        return self._entries.get(name)

    def holder_of_id(self, node_id: str) -> str | None:
        """The name of the member that lives under a node id (the tag `id`)."""
        entry = self._entries.get(self._ids.get(node_id, ""))
        alive = entry is not None and entry.status in (Status.ALIVE, Status.LEAVING) and entry.tags.get("id") == node_id
        return entry.node.name if entry is not None and alive else None

    def in_state(self, status: Status) -> list[Entry]:
        """Members that have left, or failed."""
        return [entry for entry in self._down.values() if entry.status is status]

    def status_times(self) -> dict[str, int]:
        """name -> member time of its last intent."""
        return {name: entry.status_ltime for name, entry in self._entries.items()}

    # --- memberlist's notices --------------------------------------------------------------------------------------

    def joined(self, node: Node, tags: dict[str, str], now: float) -> None:
        """`node` is alive, for the first time or again."""
        entry = self._entries.get(node.name)
        if entry is None:
            entry = self._entries[node.name] = Entry(node, tags)
            intent = self._intents.newest(node.name)
            if intent is not None:
                entry.status_ltime = intent.ltime
                if isinstance(intent, Leave):
                    entry.status = Status.LEAVING
        else:
            if entry.status is Status.FAILED and now - entry.since < FLAP_S:
                self.counts["serf.member.flap"] += 1
            self._down.pop(node.name, None)
            entry.node, entry.tags = node, tags
            entry.status, entry.since = Status.ALIVE, 0.0
            self._prunes.pop(node.name, None)
        self.counts["serf.member.join"] += 1
        self._changed(Change.JOIN, entry)

    def departed(self, node: Node, now: float) -> None:
        """`node` stopped answering, or says that it has left."""
        entry = self._entries.get(node.name)
        if entry is None or entry.status not in (Status.ALIVE, Status.LEAVING):
            return
        meant = entry.status is Status.LEAVING or node.state is NodeState.LEFT
        entry.node = node
        entry.status, entry.since = (Status.LEFT if meant else Status.FAILED), now
        self._down[node.name] = entry
        self.counts["serf.member.left" if meant else "serf.member.failed"] += 1
        self._changed(Change.LEAVE if meant else Change.FAILED, entry)

    def updated(self, node: Node, tags: dict[str, str]) -> None:
        """The tags or the address of `node` changed."""
        entry = self._entries.get(node.name)
        if entry is not None:
            entry.node, entry.tags = node, tags
            self.counts["serf.member.update"] += 1
            self._changed(Change.UPDATE, entry)

    # --- intents ---------------------------------------------------------------------------------------------------

    def leave_intent(self, intent: Leave, now: float) -> bool:
        """A member means to leave, or is made to; whether that is news."""
        entry = self._entries.get(intent.node)
        if entry is None:
            return self._intents.add(intent, now)
        if intent.ltime <= entry.status_ltime:
            return False
        entry.status_ltime = intent.ltime
        if entry.status is Status.ALIVE:
            entry.status = Status.LEAVING
        elif entry.status is Status.FAILED:
            entry.status, entry.since = Status.LEFT, now
            self._changed(Change.LEAVE, entry)
        if intent.prune:
            # One that is only leaving still has to tell memberlist's side.
            self._prunes[intent.node] = now + (self._prune_delay_s if entry.status is Status.LEAVING else 0.0)
        return True

    def join_intent(self, intent: Join, now: float) -> bool:
        """A member says that it is here; whether that is news."""
        entry = self._entries.get(intent.node)
        if entry is None:
            return self._intents.add(intent, now)
        if intent.ltime <= entry.status_ltime:
            return False
        entry.status_ltime = intent.ltime
        if entry.status is Status.LEAVING:
            entry.status = Status.ALIVE
            self._prunes.pop(intent.node, None)
        return True

    # --- forgetting ------------------------------------------------------------------------------------------------

    def next_prune(self) -> float | None:
        """When the next member is to be pruned."""
        return min(self._prunes.values()) if self._prunes else None

    def prune(self, now: float) -> list[str]:
        """Forget those that were to be pruned by now; their names."""
        return self._erase([name for name, at in self._prunes.items() if at <= now])

    def reap(
        self, now: float, *, failed_s: float, left_s: float, intent_s: float, own: Mapping[str, float]
    ) -> list[str]:
        """Forget who failed or left long ago, and old intents; the names. `own` has times of failed members that
        asked for their own."""
        self._intents.reap(now, intent_s)
        names = []
        for name, entry in self._down.items():
            limit = left_s if entry.status is Status.LEFT else own.get(name, failed_s)
            if now - entry.since > limit:
                names.append(name)
        return self._erase(names)

    def _erase(self, names: list[str]) -> list[str]:
        for name in names:
            entry = self._entries.pop(name)
            self._down.pop(name, None)
            self._prunes.pop(name, None)
            self._changed(Change.REAP, entry)
        return names

    def _changed(self, kind: str, entry: Entry) -> None:
        node_id = entry.tags.get("id", "")
        if kind in (Change.JOIN, Change.UPDATE) and node_id:
            self._ids[node_id] = entry.node.name
        elif kind == Change.REAP and self._ids.get(node_id) == entry.node.name:
            del self._ids[node_id]
        self.changes.append(MembersChanged(kind, entry.member()))

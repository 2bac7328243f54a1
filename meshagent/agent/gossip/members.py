"""The table of nodes, and who is next: round robin over a shuffled ring for probes, chance for all else.

Source: SWIM paper, section 4.3 (round robin gives a bound on detection); golden README section 9. A node is probed once
a round; a new one is put at a random place of the round; the ring is shuffled between rounds, and nodes that have been
dead for long are forgotten then. What may be changed: how; 5,000 tables of 5,000 nodes live in one simulation, so a row
holds nothing but a reference to a shared `Node`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from meshagent.agent.gossip.node import Node, NodeState

__all__ = ["MemberTable"]

#: Draws for each node wanted, as memberlist: enough to find them in a pool that is mostly well.
_DRAWS = 3


class MemberTable:
    """All nodes by name; `changed` holds the moment of the last change of state, of those that are not alive."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.nodes: dict[str, Node] = {}
        self.changed: dict[str, float] = {}
        self._ring: list[str] = []
        self._next = 0
        self.up_count = 0

    def __len__(self) -> int:
        return len(self.nodes)

    def get(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def put(self, node: Node, now: float) -> None:
        """Insert, or replace what is known under that name."""
        old = self.nodes.get(node.name)
        self.nodes[node.name] = node
        if old is None:
            self._insert(node.name)
        else:
            self.up_count -= old.state <= NodeState.SUSPECT
        self.up_count += node.state <= NodeState.SUSPECT
        if node.state is NodeState.ALIVE:
            self.changed.pop(node.name, None)
        elif old is None or old.state is not node.state:
            self.changed[node.name] = now

    def _insert(self, name: str) -> None:
        ring = self._ring
        place = int(self._rng.random() * (len(ring) + 1))
        ring.append(name)
        ring[place], ring[-1] = ring[-1], ring[place]

    def draw(self, count: int, wanted: Callable[[Node], bool]) -> list[Node]:
        """Up to `count` different nodes that are `wanted`, by chance; may miss some in a pool of few."""
        ring, nodes = self._ring, self.nodes
        chance, size = self._rng.random, len(ring)
        found: list[Node] = []
        for _ in range(_DRAWS * size):
            if len(found) >= count:
                break
            node = nodes[ring[int(chance() * size)]]
            if wanted(node) and node not in found:
                found.append(node)
        return found

    def next_to_probe(self, local: str, now: float, keep_dead_s: float) -> Node | None:
        """The next node of the round that is not dead and not `local`; None if there is none."""
        for _ in range(len(self._ring) + 1):
            if self._next >= len(self._ring):
                self._new_round(local, now, keep_dead_s)
            name = self._ring[self._next]
            self._next += 1
            node = self.nodes[name]
            if name != local and node.state <= NodeState.SUSPECT:
                return node
        return None

    def _new_round(self, local: str, now: float, keep_dead_s: float) -> None:
        old = [
            name
            for name, since in self.changed.items()
            if self.nodes[name].state >= NodeState.DEAD and now - since > keep_dead_s and name != local
        ]
        for name in old:
            del self.nodes[name], self.changed[name]
        if old:
            gone = set(old)
            self._ring = [name for name in self._ring if name not in gone]
        self._rng.shuffle(self._ring)
        self._next = 0

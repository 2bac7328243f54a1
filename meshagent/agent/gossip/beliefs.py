"""Who is alive: what alive, suspect and dead messages change, and how we answer for ourselves.

Source: SWIM paper, sections 3 and 4.2 (suspicion, incarnations); Lifeguard paper, section IV.B; golden README
sections 5 and 9; surface rows S21, S22, S26. Only a node raises its own incarnation; of two statements about a node
the one with the higher incarnation counts, of equal ones dead before suspect before alive.

What holds against hostile or broken peers, each dropped and counted: an address for a name that is alive at another
one; versions that cannot be or that would make every later push/pull fail; an incarnation that leaves no higher one
to refute it with. So nobody is declared dead that still answers for itself.
"""

from __future__ import annotations

import ipaddress

import msgspec

from meshagent.agent.gossip.agenda import Timer
from meshagent.agent.gossip.core import Core
from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.messages import Dead, Suspect, encode_alive, encode_dead, encode_suspect
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.signals import LeaveSent
from meshagent.agent.gossip.suspicion import Suspicion
from meshagent.agent.gossip.timing import suspicion_timeout_s

__all__ = ["MAX_INCARNATION", "Beliefs", "compatible"]

#: Incarnations are 32 bits wide. An accusation at this height could not be refuted, so none is believed; an `alive`
#: above it neither.
MAX_INCARNATION = 0xFFFF_FFFE

_INFO, _WARNING = 20, 30


def compatible(ours: bytes, theirs: bytes) -> bool:
    """Whether two nodes' versions (`Node.versions`) make sense and each speaks within the other's range."""
    if len(theirs) != 6 or theirs[0] == 0 or theirs[1] == 0:
        return False
    return all(
        theirs[at] <= theirs[at + 2] <= theirs[at + 1]
        and theirs[at] <= ours[at + 2] <= theirs[at + 1]
        and ours[at] <= theirs[at + 2] <= ours[at + 1]
        for at in (0, 3)
    )


class Beliefs:
    """The rules that change the table."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._suspicions: dict[str, tuple[Suspicion, Timer]] = {}
        self.leaving = False

    # -- ourselves

    def announce(self, node: Node, now: float) -> None:
        """Say `node` of ourselves, as it is: at start, and when our metadata changed."""
        core = self._core
        known = core.table.get(core.name)
        core.table.put(node, now)
        core.broadcasts.add(encode_alive(node), core.name)
        if known is None:
            core.delegate.notify_join(node, now)
        elif known.meta != node.meta:
            core.delegate.notify_update(node, now)

    def next_incarnation(self) -> int:
        return min(self._core.local.incarnation + 1, MAX_INCARNATION)

    def leave(self, now: float) -> None:
        """Tell everybody that we go."""
        core = self._core
        if self.leaving:
            return
        self.leaving = True
        self.dead(Dead(core.local.incarnation, core.name, core.name), now)

    def _refute(self, accused: int, now: float) -> None:
        """Somebody says what is not so about us, with that incarnation: say it again with a higher one."""
        core = self._core
        incarnation = min(max(core.local.incarnation, accused) + 1, MAX_INCARNATION)
        core.table.put(msgspec.structs.replace(core.local, incarnation=incarnation), now)
        core.degrade(1)
        core.broadcasts.add(encode_alive(core.local), core.name)

    # -- alive

    def alive(self, node: Node, now: float) -> None:
        """A peer says that `node` (with state ALIVE) is alive."""
        core = self._core
        known = core.table.nodes.get(node.name)
        stale = known is not None and node.incarnation <= known.incarnation and node.name != core.name
        if known is not None and stale and known.addr == node.addr and known.port == node.port:
            return  # nothing new: by far the most of what comes
        drop = self._objection(node)
        if drop is not None:
            core.telemetry.dropped(drop)
            return
        if not node.port:
            node = msgspec.structs.replace(node, port=core.local.port)
        if (why := core.delegate.refuse_alive(node, now)) is not None:
            core.telemetry.dropped(Drop.REFUSED)
            core.log(_WARNING, f"ignoring alive message for {node.name}: {why}")
            return
        moved = False
        if known is not None and (known.addr != node.addr or known.port != node.port):
            if not self._may_move(known, now):
                core.telemetry.dropped(Drop.CONFLICT)
                core.delegate.notify_conflict(known, node, now)
                return
            moved = True
        if node.name == core.name:
            self._alive_of_us(node, now)
            return
        if stale and not moved:
            return
        self._forget_suspicion(node.name)
        core.table.put(node, now)
        core.broadcasts.add(encode_alive(node), node.name)
        core.telemetry.alive.incr()
        if known is None or known.state >= NodeState.DEAD:
            core.delegate.notify_join(node, now)
        elif known.meta != node.meta:
            core.delegate.notify_update(node, now)

    def _objection(self, node: Node) -> Drop | None:
        core = self._core
        if node.incarnation > MAX_INCARNATION:
            return Drop.INCARNATION
        if not compatible(core.settings.versions, node.versions):
            return Drop.VERSIONS
        allowed = core.settings.allowed
        if allowed is not None:
            address = ipaddress.ip_address(node.addr)
            if not any(address in network for network in allowed):
                return Drop.ADDRESS
        return None

    def _may_move(self, known: Node, now: float) -> bool:
        """Whether another address may take the name: it left, or has been dead for long enough."""
        core = self._core
        if known.state is NodeState.LEFT:
            return True
        reclaim_s = core.settings.reclaim_s
        dead_for = now - core.table.changed.get(known.name, now)
        return known.state is NodeState.DEAD and reclaim_s > 0 and dead_for > reclaim_s

    def _alive_of_us(self, node: Node, now: float) -> None:
        local = self._core.local
        if self.leaving or node.incarnation < local.incarnation:
            return
        if node.incarnation == local.incarnation and node.meta == local.meta and node.versions == local.versions:
            return
        self._refute(node.incarnation, now)
        self._core.log(_WARNING, f"refuting an alive message about us with incarnation {node.incarnation}")

    # -- suspect

    def suspect(self, said: Suspect, now: float) -> None:
        """A peer, or our own probe, says that a node does not answer."""
        core = self._core
        known = core.table.nodes.get(said.node)
        if known is None or said.incarnation < known.incarnation:
            return
        running = self._suspicions.get(said.node)
        if running is not None:
            self._confirm(running[0], said, now)
            return
        if known.state is not NodeState.ALIVE:
            return
        if said.node == core.name:
            if not self._unanswerable(said):
                self._refute(said.incarnation, now)
                core.log(_WARNING, f"refuting a suspect message (from: {said.sender})")
            return
        if said.sender != core.name and self._unanswerable(said):
            return
        core.broadcasts.add(encode_suspect(said), said.node)
        core.telemetry.suspect.incr()
        core.table.put(msgspec.structs.replace(known, incarnation=said.incarnation, state=NodeState.SUSPECT), now)
        self._begin(said, now)

    def _unanswerable(self, said: Suspect | Dead) -> bool:
        if said.incarnation < MAX_INCARNATION:
            return False
        self._core.telemetry.dropped(Drop.INCARNATION)
        return True

    def _begin(self, said: Suspect, now: float) -> None:
        core, settings = self._core, self._core.settings
        nodes = len(core.table)
        k = settings.suspicion_mult - 2
        if nodes - 2 < k:
            k = 0
        low_s = suspicion_timeout_s(settings.suspicion_mult, nodes, settings.probe_interval_s)
        suspicion = Suspicion(said.sender, max(k, 0), low_s, settings.suspicion_max_mult * low_s, now)
        self._schedule(said.node, suspicion)

    def _schedule(self, name: str, suspicion: Suspicion) -> None:
        timer = self._core.agenda.at(suspicion.deadline, lambda now: self._expired(name, suspicion, now))
        self._suspicions[name] = (suspicion, timer)

    def _confirm(self, suspicion: Suspicion, said: Suspect, now: float) -> None:
        if not suspicion.confirm(said.sender, now):
            return
        self._core.broadcasts.add(encode_suspect(said), said.node)
        self._forget_suspicion(said.node)
        self._schedule(said.node, suspicion)

    def _expired(self, name: str, suspicion: Suspicion, now: float) -> None:
        core = self._core
        del self._suspicions[name]
        known = core.table.nodes.get(name)
        if known is None or known.state is not NodeState.SUSPECT:
            return
        if suspicion.k > 0 and suspicion.confirmations < suspicion.k:
            core.telemetry.degraded_timeout.incr()
        core.log(
            _INFO, f"marking {name} as failed, suspect timeout reached ({suspicion.confirmations} peer confirmations)"
        )
        self.dead(Dead(known.incarnation, name, core.name), now)

    def _forget_suspicion(self, name: str) -> None:
        running = self._suspicions.pop(name, None)
        if running is not None:
            running[1].cancel()

    # -- dead

    def dead(self, said: Dead, now: float) -> None:
        """A peer, or our own suspicion, says that a node is dead; of itself: that it leaves."""
        core = self._core
        known = core.table.nodes.get(said.node)
        if known is None or said.incarnation < known.incarnation or known.state >= NodeState.DEAD:
            return
        ours = said.node == core.name
        if said.sender != core.name and self._unanswerable(said):
            return
        if ours and not self.leaving:
            self._refute(said.incarnation, now)
            core.log(_WARNING, f"refuting a dead message (from: {said.sender})")
            return
        self._forget_suspicion(said.node)
        state = NodeState.LEFT if said.node == said.sender else NodeState.DEAD
        node = msgspec.structs.replace(known, incarnation=said.incarnation, state=state)
        core.table.put(node, now)
        if ours and not core.table.up_count:
            core.out.append(LeaveSent())
        else:
            core.broadcasts.add(encode_dead(said), said.node, self._left if ours else None)
        core.telemetry.dead.incr()
        core.delegate.notify_leave(node, now)

    def _left(self) -> None:
        self._core.out.append(LeaveSent())

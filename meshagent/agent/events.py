"""User events: what this agent fires, accepts and remembers. Pure.

Source: surface rows EV1, EV2; developer.hashicorp.com/consul/api-docs/event; Lamport, "Time, Clocks, and the Ordering
of Events in a Distributed System" (CACM 1978); serf's user events for the size limit. An event goes to every agent, and
each decides by its filters whether it is meant. The newest 256 that were accepted are remembered, and are not
replicated: every agent has its own list.

What may change here: `broadcast` is where gossip plugs in, `receive` what it calls with events of others. The size that
is limited is that of the message Consul gossips, so that its agents take ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from meshagent.agent.registration import LocalService
from meshagent.catalog.go_regexp import compile_search
from meshagent.catalog.model import Row, always
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

__all__ = ["KEPT", "TOPIC", "UserEvent", "UserEvents", "event_index", "validate"]

#: How many events an agent remembers.
KEPT = 256
#: What changes in the watches when an event is accepted.
TOPIC = "user-events"
#: The newest form of events that this release understands.
MAX_VERSION = 1


class UserEvent(Row, frozen=True, kw_only=True):
    """An event as it is fired and listed. The filters are regular expressions, "" for everyone."""

    id: str = always("")
    name: str = always("")
    payload: bytes | None = always(None)
    node_filter: str = always("")
    service_filter: str = always("")
    tag_filter: str = always("")
    version: int = always(MAX_VERSION)
    l_time: int = msgspec.field(default_factory=lambda: 0, name="LTime")


class UserEvents:
    """The events of one agent. `services` are those registered on it, as its `LocalState` holds them."""

    def __init__(self, node_name: str, services: Mapping[str, LocalService], watches: Watches) -> None:
        self.broadcast: Callable[[UserEvent], None] | None = None
        """Sends an event to all agents, this one too; None while there is no gossip."""
        self.handlers: dict[str, Callable[[bytes], None]] = {}
        """Events of these names are orders to the agent: their payloads go here and are not remembered."""
        self.refused = 0
        """Events of others that could not be read."""
        self.time = 1
        """The Lamport time of the next event."""
        self._node_name = node_name
        self._services = services
        self._watches = watches
        self._kept: deque[UserEvent] = deque(maxlen=KEPT)

    def fire(self, event: UserEvent) -> None:
        """Send an event to every agent, this one too.

        Raises:
            InternalError: it is too large to be gossiped.
        """
        if self.broadcast is None:
            self.receive(msgspec.structs.replace(event, l_time=self.time))
            return
        try:
            self.broadcast(event)
        except InternalError as error:
            raise InternalError(f"error broadcasting event: {error}") from None

    def receive(self, event: UserEvent) -> bool:
        """Take an event with its time; whether it was meant for this agent. Gossip delivers each once."""
        self.time = max(self.time, event.l_time + 1)
        if event.version > MAX_VERSION or not self._meant(event):
            return False
        if (handler := self.handlers.get(event.name)) is not None:
            handler(event.payload or b"")
            return True
        self._kept.append(event)
        self._watches.notify(TOPIC)
        self._watches.flush()
        return True

    def all(self, name: str = "") -> list[UserEvent]:
        """What was accepted, oldest first; with `name` only events called so."""
        return [event for event in self._kept if not name or event.name == name]

    def _meant(self, event: UserEvent) -> bool:
        try:
            if event.node_filter and not compile_search(event.node_filter)(self._node_name):
                return False
            if not event.service_filter:
                return True
            service, tag = compile_search(event.service_filter), compile_search(event.tag_filter)
        except ValueError:  # of another agent: this one refuses such filters
            return False
        rows = (entry.service for entry in self._services.values())
        return any(service(row.name) and (not event.tag_filter or any(map(tag, row.tags))) for row in rows)


def validate(event: UserEvent) -> None:
    """Refuse what no agent could take.

    Raises:
        InternalError: with Consul's words.
    """
    if event.tag_filter and not event.service_filter:
        raise InternalError("Cannot provide tag filter without service filter")
    for kind, pattern in (("node", event.node_filter), ("service", event.service_filter), ("tag", event.tag_filter)):
        try:
            if pattern:
                compile_search(pattern)
        except ValueError as error:
            raise InternalError(f"Invalid {kind} filter: {error}") from None


def event_index(event_id: str) -> int:
    """The index that stands for an event: the two halves of its UUID, one XOR the other. Indexes have no order.

    >>> event_index("b54fe110-7af5-cafc-d1fb-afc8ba432b1c")
    7256511592453824992
    """
    number = int(event_id.replace("-", ""), 16)
    return (number >> 64) ^ (number & (2**64 - 1))

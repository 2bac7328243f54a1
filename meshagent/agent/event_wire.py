"""User events as they travel in gossip: serf's user events whose payload is a msgpack map.

Source: surface row S49, captured in tests/data/golden/gossip: the name is `consul:event:` and the event's, the payload
a map of the fields that are set, keys in byte order, in msgpack's new specification. What may change here: nothing that
a Consul agent reads; unknown keys are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgpack

from meshagent.agent.events import UserEvent, UserEvents
from meshagent.agent.gossip import fields as go
from meshagent.agent.gossip.serf_messages import Event
from meshagent.catalog.rpc.link import RpcMetrics
from meshagent.errors import RemoteProtocolError

__all__ = ["NEW_LEADER", "PREFIX", "decode_event", "encode_event", "gossip_events"]

#: Consul's events have this before their name in gossip, so that serf's own are told apart.
PREFIX = "consul:event:"
#: The event of a new leader; its payload is the name of the leader's node.
NEW_LEADER = "consul:new-leader"


class _Gossip(Protocol):
    """What carries events: `gossip.pools.Pools`."""

    def fire_event(self, name: str, payload: bytes | None) -> int: ...

    def on_event(self, observer: Callable[[Event], None]) -> None: ...


def encode_event(event: UserEvent) -> bytes:
    """The payload of an event."""
    told: dict[str, Any] = {
        "ID": event.id,
        "n": event.name,
        "nf": event.node_filter,
        "p": event.payload or b"",
        "sf": event.service_filter,
        "tf": event.tag_filter,
        "v": event.version,
    }
    packed: bytes = msgpack.packb({name: value for name, value in told.items() if value}, use_bin_type=True)
    return packed


def decode_event(payload: bytes, ltime: int) -> UserEvent:
    """The event that gossip brought at Lamport time `ltime`. Raises RemoteProtocolError."""
    told = go.read_map(payload)
    return UserEvent(
        id=go.text(told, b"ID"),
        name=go.text(told, b"n"),
        payload=go.raw_or_none(told, b"p"),
        node_filter=go.text(told, b"nf"),
        service_filter=go.text(told, b"sf"),
        tag_filter=go.text(told, b"tf"),
        version=go.i64(told, b"v"),
        l_time=ltime,
    )


def gossip_events(events: UserEvents, gossip: _Gossip, metrics: RpcMetrics | None = None) -> None:
    """Have `events` travel: what is fired here reaches every agent, and comes back to this one like to all."""

    def send(event: UserEvent) -> None:
        gossip.fire_event(PREFIX + event.name, encode_event(event))

    def came(event: Event) -> None:
        if not event.name.startswith(PREFIX):
            return
        try:
            events.receive(decode_event(event.payload or b"", event.ltime))
        except RemoteProtocolError:
            events.refused += 1
            if metrics is not None:
                metrics.incr("serf.events.refused")

    events.broadcast = send
    gossip.on_event(came)

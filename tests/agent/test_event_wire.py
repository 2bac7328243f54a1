"""Consul's user events on serf's wire, byte for byte."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossip import plain, recorded, serf_parts

from meshagent.agent.event_wire import PREFIX, decode_event, encode_event, gossip_events
from meshagent.agent.events import UserEvent, UserEvents
from meshagent.agent.gossip.serf_messages import Event
from meshagent.catalog.watch import Watches
from meshagent.errors import RemoteProtocolError

RECORDED = {
    plain(part["body"]["Payload"])
    for line in recorded()
    for part, _ in serf_parts(line["decoded"])
    if part["name"] == "userEvent" and part["body"]["Name"].startswith(PREFIX)
}


def test_events_of_real_agents_come_back() -> None:
    assert len(RECORDED) >= 2
    for payload in RECORDED:
        event = decode_event(payload, 7)
        assert encode_event(event) == payload
        assert event.l_time == 7
    deploy = next(event for event in (decode_event(payload, 1) for payload in RECORDED) if event.name == "deploy")
    assert (deploy.node_filter, deploy.payload, deploy.version) == ("c-two", b"payload bytes", 1)


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(TEXT, TEXT, st.binary(max_size=60), TEXT, TEXT, TEXT)
def test_an_event_survives(id: str, name: str, payload: bytes, node: str, service: str, tag: str) -> None:
    event = UserEvent(
        id=id, name=name, payload=payload or None, node_filter=node, service_filter=service, tag_filter=tag, l_time=3
    )
    assert decode_event(encode_event(event), 3) == event


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_event(data, 1)


class Gossip:
    """Gives an event back as gossip would."""

    def __init__(self) -> None:
        self.observers = []

    def fire_event(self, name, payload) -> int:
        for observer in self.observers:
            observer(Event(5, name, payload))
        return 5

    def on_event(self, observer) -> None:
        self.observers.append(observer)


def test_what_is_fired_comes_back_with_the_time_of_gossip() -> None:
    events, gossip = UserEvents("n1", {}, Watches()), Gossip()
    gossip_events(events, gossip)
    events.fire(UserEvent(id="i", name="deploy", payload=b"x"))
    assert [(event.name, event.payload, event.l_time) for event in events.all()] == [("deploy", b"x", 5)]


def test_other_events_and_broken_ones_are_left_alone() -> None:
    events, gossip = UserEvents("n1", {}, Watches()), Gossip()
    gossip_events(events, gossip)
    gossip.fire_event("consul:new-leader", b"n1")
    gossip.fire_event(PREFIX + "x", b"\xc1")
    gossip.fire_event(PREFIX + "x", None)
    assert events.all() == []
    assert events.refused == 2

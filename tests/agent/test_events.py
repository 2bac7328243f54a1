"""EV1, EV2: filters, time, memory and index of user events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.agent.events import KEPT, TOPIC, UserEvent, UserEvents, event_index, validate
from meshagent.catalog.model import Service
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

ID = "b54fe110-7af5-cafc-d1fb-afc8ba432b1c"


def of(**fields: Any) -> UserEvent:
    return UserEvent(**{"id": ID, "name": "deploy", **fields})


@pytest.fixture
def services() -> dict[str, Any]:
    return {"web1": SimpleNamespace(service=Service(name="web", id="web1", tags=("blue", "v1")))}


@pytest.fixture
def events(services: dict[str, Any]) -> UserEvents:
    return UserEvents("n1.example", services, Watches())


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ({}, True),
        ({"node_filter": "^n1"}, True),
        ({"node_filter": "n2"}, False),
        ({"service_filter": "we"}, True),
        ({"service_filter": "^eb"}, False),
        ({"service_filter": "web", "tag_filter": "^v[0-9]$"}, True),
        ({"service_filter": "web", "tag_filter": "green"}, False),
        ({"service_filter": "db", "tag_filter": "blue"}, False),
        ({"node_filter": "n1", "service_filter": "db"}, False),
        ({"node_filter": "("}, False),
        ({"version": 2}, False),
    ],
)
def test_ev2_filters_apply_on_arrival(events: UserEvents, filters: dict[str, Any], meant: bool) -> None:
    assert events.receive(of(**filters)) is meant
    assert len(events.all()) == meant


def test_ev2_a_service_that_comes_later_changes_nothing(events: UserEvents, services: dict[str, Any]) -> None:
    events.receive(of(service_filter="db"))
    services["db1"] = SimpleNamespace(service=Service(name="db", id="db1"))
    assert events.all() == []
    assert events.receive(of(service_filter="db"))


def test_lamport_time(events: UserEvents) -> None:
    events.fire(of(name="a"))
    events.receive(of(name="b", l_time=40))
    events.receive(of(name="c", l_time=7))
    events.fire(of(name="d"))
    assert [(event.name, event.l_time) for event in events.all()] == [("a", 1), ("b", 40), ("c", 7), ("d", 41)]


def test_gossip_brings_an_event_to_all_and_so_to_us(events: UserEvents) -> None:
    sent: list[UserEvent] = []
    events.broadcast = sent.append
    events.fire(of(node_filter="other"))
    assert (len(sent), sent[0].l_time, events.all(), events.time) == (1, 0, [], 1)


def test_ev2_the_newest_are_kept_and_found_by_name(events: UserEvents) -> None:
    for number in range(KEPT + 3):
        events.fire(of(name=f"e{number % 2}", payload=str(number).encode()))
    kept = events.all()
    assert [kept[0].payload, kept[-1].payload, len(kept)] == [b"3", b"258", 256]
    assert {event.name for event in events.all("e1")} == {"e1"}
    assert events.all("nope") == []


def test_a_reader_is_woken_only_by_what_is_kept() -> None:
    watches = Watches()
    events = UserEvents("n1", {}, watches)
    woken: list[int] = []
    watches.subscribe([TOPIC], lambda: woken.append(1))
    events.fire(of(node_filter="other"))
    assert woken == []
    events.fire(of())
    assert woken == [1]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"tag_filter": "t"}, "Cannot provide tag filter without service filter"),
        ({"node_filter": "("}, "Invalid node filter: error parsing regexp: missing closing ): `(`"),
        ({"service_filter": "("}, "Invalid service filter: error parsing regexp: missing closing ): `(`"),
        (
            {"service_filter": "a", "tag_filter": "("},
            "Invalid tag filter: error parsing regexp: missing closing ): `(`",
        ),
    ],
)
def test_ev1_refusals(filters: dict[str, str], message: str) -> None:
    with pytest.raises(InternalError) as caught:
        validate(of(**filters))
    assert str(caught.value) == message


def test_ev1_what_gossip_refuses_is_told(events: UserEvents) -> None:
    def refuse(_event: UserEvent) -> None:
        raise InternalError("user event exceeds configured limit of 512 bytes before encoding")

    events.broadcast = refuse
    with pytest.raises(InternalError) as caught:
        events.fire(of(name="e"))
    assert str(caught.value) == (
        "error broadcasting event: user event exceeds configured limit of 512 bytes before encoding"
    )
    assert events.all() == []


@given(st.uuids())
def test_ev2_the_index_is_one_half_xor_the_other(uuid: Any) -> None:
    high, low = uuid.bytes[:8], uuid.bytes[8:]
    assert event_index(str(uuid)) == int.from_bytes(bytes(a ^ b for a, b in zip(high, low, strict=True)), "big")

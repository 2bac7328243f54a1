from __future__ import annotations

import random

import pytest

from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    Heartbeat,
    Message,
    Open,
    Packed,
    Request,
    Response,
    Status,
    Terminated,
)
from meshagent.agent.peering.stream import (
    HEARTBEAT_S,
    RETRY_S,
    SILENCE_S,
    WINDOW,
    Command,
    Ended,
    PeerStream,
    Send,
    Take,
)

WEB = Packed(EXPORTED_SERVICE, b"web")
WEB2 = Packed(EXPORTED_SERVICE, b"web, changed")


def stream(*, dials: bool = False, subscribed: bool = True) -> PeerStream:
    made = PeerStream("p", 0.0, dials=dials)
    if subscribed:
        made.received(Request(kind=EXPORTED_SERVICE), 0.0)
    return made


def sent(commands: list[Command]) -> list[Message]:
    return [command.message for command in commands if isinstance(command, Send)]


def test_the_dialing_side_asks_for_addresses_too() -> None:
    asked = [message.kind for message in sent(stream(dials=True).start()) if isinstance(message, Request)]
    assert asked == [EXPORTED_SERVICE, EXPORTED_SERVICE_LIST, TRUST_BUNDLE, SERVER_ADDRESSES]
    assert len(stream().start()) == 3


def test_nothing_is_told_before_it_is_asked_for() -> None:
    one = stream(subscribed=False)
    assert one.offer(EXPORTED_SERVICE, "web", WEB) == []
    assert sent(one.received(Request(kind=TRUST_BUNDLE), 1.0)) == []
    assert sent(one.received(Request(kind=EXPORTED_SERVICE), 1.0)) == [
        Response("00000001", EXPORTED_SERVICE, "web", WEB)
    ]


def test_what_has_not_changed_is_not_told_again() -> None:
    one = stream()
    assert len(one.offer(EXPORTED_SERVICE, "web", WEB)) == 1
    assert one.offer(EXPORTED_SERVICE, "web", Packed(EXPORTED_SERVICE, b"web")) == []
    assert sent(one.offer(EXPORTED_SERVICE, "web", WEB2)) == [Response("00000002", EXPORTED_SERVICE, "web", WEB2)]


def test_a_change_that_is_taken_back_while_it_waits_is_not_told() -> None:
    one = stream()
    for at in range(WINDOW):
        one.offer(EXPORTED_SERVICE, f"s{at}", WEB)
    assert one.offer(EXPORTED_SERVICE, "s0", WEB2) == []
    assert one.offer(EXPORTED_SERVICE, "s0", WEB) == []
    assert one.received(Request(nonce="00000001", kind=EXPORTED_SERVICE), 1.0) == []


def test_the_window_opens_with_acknowledgements_and_what_waits_is_sent_as_it_is_then() -> None:
    one = stream()
    told = [one.offer(EXPORTED_SERVICE, f"s{at}", WEB) for at in range(WINDOW + 2)]
    assert [len(commands) for commands in told] == [1] * WINDOW + [0, 0]
    one.offer(EXPORTED_SERVICE, f"s{WINDOW}", WEB2)
    (message,) = sent(one.received(Request(nonce="00000003", kind=EXPORTED_SERVICE), 1.0))
    assert message == Response(f"{WINDOW + 1:08x}", EXPORTED_SERVICE, f"s{WINDOW}", WEB2)


def test_what_could_not_be_taken_is_sent_again_later() -> None:
    one = stream()
    one.offer(EXPORTED_SERVICE, "web", WEB)
    refused = Request(nonce="00000001", kind=EXPORTED_SERVICE, error=Status(13, "no leader"))
    assert one.received(refused, 1.0) == []
    assert sent(one.tick(1.0 + RETRY_S - 0.1)) == []
    assert sent(one.tick(1.0 + RETRY_S)) == [Response("00000002", EXPORTED_SERVICE, "web", WEB)]


def test_a_refusal_of_what_has_changed_since_changes_nothing() -> None:
    one = stream()
    one.offer(EXPORTED_SERVICE, "web", WEB)
    one.offer(EXPORTED_SERVICE, "web", WEB2)
    one.received(Request(nonce="00000001", kind=EXPORTED_SERVICE, error=Status(13, "x")), 1.0)
    one.received(Request(nonce="00000002", kind=EXPORTED_SERVICE), 1.0)
    assert sent(one.tick(1.0 + RETRY_S)) == []


def test_what_is_told_is_taken_and_acknowledged() -> None:
    one = stream()
    (take,) = one.received(Response("07", EXPORTED_SERVICE, "web", WEB), 1.0)
    assert take == Take(EXPORTED_SERVICE, "web", "07", WEB)
    assert isinstance(take, Take)
    assert sent(one.taken(take)) == [Request("p", "07", EXPORTED_SERVICE)]
    assert sent(one.taken(take, "full")) == [Request("p", "07", EXPORTED_SERVICE, Status(13, "full"))]


def test_a_resource_that_exists_no_more() -> None:
    gone = Response("07", EXPORTED_SERVICE, "web", None, 2)
    assert stream().received(gone, 1.0) == [Take(EXPORTED_SERVICE, "web", "07", None)]


def test_heartbeats_and_silence() -> None:
    one = stream()
    assert one.tick(HEARTBEAT_S - 1) == []
    assert sent(one.tick(HEARTBEAT_S)) == [Heartbeat()]
    assert sent(one.tick(HEARTBEAT_S + 1)) == []
    one.received(Heartbeat(), 100.0)
    assert not [command for command in one.tick(100.0 + SILENCE_S) if isinstance(command, Ended)]
    assert one.tick(100.1 + SILENCE_S) == [Ended("nothing was heard for 120 s")]
    assert one.over
    assert one.tick(1000.0) == one.received(Heartbeat(), 1000.0) == []


def test_both_ways_to_end_a_peering() -> None:
    one = stream()
    assert one.received(Terminated(), 1.0) == [Ended("the other side has deleted the peering", terminated=True)]
    two = stream()
    assert two.terminate() == [Send(Terminated()), Ended("the peering was deleted here")]
    assert two.terminate() == []


@pytest.mark.parametrize(
    "message",
    [
        Open("p", "s"),
        Request(kind="type.googleapis.com/other"),
        Request(nonce="99", kind=EXPORTED_SERVICE),
        Response("01", SERVER_ADDRESSES, "x", Packed(SERVER_ADDRESSES)),  # nobody dials from here
        Response("", EXPORTED_SERVICE, "web", WEB),
        Response("01", EXPORTED_SERVICE, "web", None),
        Response("01", EXPORTED_SERVICE, "web", Packed(TRUST_BUNDLE)),
    ],
)
def test_a_side_that_breaks_the_rules_is_left(message: Message) -> None:
    one = stream()
    (ended,) = one.received(message, 1.0)
    assert isinstance(ended, Ended)
    assert not ended.terminated
    assert one.over


@pytest.mark.parametrize("seed", range(20))
def test_in_the_end_the_other_side_has_what_is_offered(seed: int) -> None:
    """Two sides; changes, slow and refused takes, streams that break: each new stream resumes."""
    rng = random.Random(seed)
    offered: dict[str, bytes] = {}
    held: dict[str, bytes] = {}
    now = 0.0
    for broken in range(4):
        exporter, importer = PeerStream("", now, dials=False), PeerStream("p", now, dials=True)
        to_importer = sent(exporter.start())
        to_exporter = sent(importer.start())
        for name, value in offered.items():
            to_importer += sent(exporter.offer(EXPORTED_SERVICE, name, Packed(EXPORTED_SERVICE, value)))
        takes: list[Take] = []
        steps = rng.randrange(50, 150) if broken < 3 else 2000
        for step in range(steps):
            now += 0.2
            if step < 100 and rng.random() < 0.5:
                name, value = f"s{rng.randrange(50)}", rng.randbytes(2)
                offered[name] = value
                to_importer += sent(exporter.offer(EXPORTED_SERVICE, name, Packed(EXPORTED_SERVICE, value)))
            if to_importer and rng.random() < 0.8:
                commands = importer.received(to_importer.pop(0), now)
                takes += [command for command in commands if isinstance(command, Take)]
            if takes and rng.random() < 0.8:
                take = takes.pop(0)
                error = "busy" if rng.random() < 0.2 else ""
                if not error and take.resource is not None:
                    held[take.id] = take.resource.data
                to_exporter += sent(importer.taken(take, error))
            if to_exporter:
                to_importer += sent(exporter.received(to_exporter.pop(0), now))
            to_importer += sent(exporter.tick(now))
            to_exporter += sent(importer.tick(now))
            assert not exporter.over
            assert not importer.over
    assert held == offered

"""serf's machine in small pools on virtual time."""

import random

import pytest
from meshtest.gossip import plain, recorded, serf_parts
from meshtest.serfnet import Net, Peer

from meshagent.agent.gossip import fields as go
from meshagent.agent.gossip import serf_messages as wire
from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE, report
from meshagent.agent.gossip.member import Status
from meshagent.agent.gossip.node import Node
from meshagent.agent.gossip.query_filters import encode_node_filter, encode_tag_filter
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import (
    Change,
    LeaveEnded,
    MembersChanged,
    NameLost,
    QueryCame,
    QueryEnded,
    UserEventCame,
)
from meshagent.errors import InternalError, LocalProtocolError

ALIVE, LEAVING, LEFT, FAILED = Status.ALIVE, Status.LEAVING, Status.LEFT, Status.FAILED


def changes(peer: Peer, name: str) -> list[str]:
    return [said.kind for said in peer.of(MembersChanged) if said.member.name == name]


class TestMembers:
    def test_members_find_each_other(self) -> None:
        net = Net()
        peers = net.pool(4, tags={"role": "web"})
        for peer in peers:
            assert peer.statuses() == dict.fromkeys(("n0", "n1", "n2", "n3"), ALIVE)
        member = peers[3].of(MembersChanged)[0].member
        assert (member.name, member.addr, member.port, member.tags) == ("n3", "127.0.0.4", 8301, {"role": "web"})
        assert member.protocol_max == 5

    def test_one_that_leaves_has_left(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        b.do(lambda serf, now: serf.leave(now))
        net.until(lambda: b.of(LeaveEnded) != [])
        b.up = False
        net.advance(20)
        for peer in (a, c):
            assert peer.statuses()["n1"] is LEFT
            assert changes(peer, "n1") == [Change.JOIN, Change.LEAVE]

    def test_leaving_alone_ends_at_once(self) -> None:
        net = Net()
        a = net.peer("a")
        a.do(lambda serf, now: serf.leave(now))
        a.do(lambda serf, now: serf.leave(now))
        net.advance(0.1)
        assert len(a.of(LeaveEnded)) == 1

    def test_leaving_ends_although_nobody_hears_it(self) -> None:
        net = Net()
        a, b = net.pool(2)
        b.up = False
        a.do(lambda serf, now: serf.leave(now))
        net.until(lambda: a.of(LeaveEnded) != [], 30)

    def test_one_that_is_killed_has_failed(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        c.up = False
        net.until(lambda: a.statuses()["n2"] is FAILED and b.statuses()["n2"] is FAILED)
        assert changes(a, "n2") == [Change.JOIN, Change.FAILED]

    def test_one_that_comes_back_is_found_by_reconnecting(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        net.cut(a, c)
        net.cut(b, c)
        net.until(lambda: a.statuses()["n2"] is FAILED and c.statuses()["n0"] is FAILED)
        net.heal()
        net.until(lambda: all(peer.statuses()[name] is ALIVE for peer in (a, b, c) for name in ("n0", "n2")), 300)
        assert a.serf.members.get("n2") is not None

    def test_a_change_of_tags_reaches_all(self) -> None:
        net = Net()
        a, b, c = net.pool(3, tags={"v": "1"})
        b.do(lambda serf, now: serf.set_tags({"v": "2"}, now))
        net.until(lambda: all(p.serf.members.get("n1").tags == {"v": "2"} for p in (a, b, c)), 10)
        assert changes(b, "n1")[-1] == changes(a, "n1")[-1] == Change.UPDATE
        with pytest.raises(LocalProtocolError):
            b.do(lambda serf, now: serf.set_tags({"v": "x" * 600}, now))
        assert b.serf.tags == {"v": "2"}

    def test_force_leave_takes_a_failed_one_for_left(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        c.up = False
        net.until(lambda: a.statuses()["n2"] is FAILED and b.statuses()["n2"] is FAILED)
        a.do(lambda serf, now: serf.force_leave("n2", now))
        net.until(lambda: b.statuses()["n2"] is LEFT, 10)
        assert a.statuses()["n2"] is LEFT
        assert changes(a, "n2") == [Change.JOIN, Change.FAILED, Change.LEAVE]

    def test_pruning_forgets_it_everywhere(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        c.up = False
        net.until(lambda: a.statuses()["n2"] is FAILED and b.statuses()["n2"] is FAILED)
        a.do(lambda serf, now: serf.force_leave("n2", now, prune=True))
        net.until(lambda: "n2" not in b.statuses() and "n2" not in a.statuses(), 20)
        assert changes(b, "n2")[-1] == Change.REAP
        net.advance(120)
        assert "n2" not in a.statuses()

    def test_one_that_lives_refutes_a_force_leave(self) -> None:
        net = Net()
        a, b, c = net.pool(3)
        for prune in (False, True):
            a.do(lambda serf, now, prune=prune: serf.force_leave("n2", now, prune=prune))
            net.advance(30)
            for peer in (a, b, c):
                assert peer.statuses()["n2"] is ALIVE
        assert changes(a, "n2") == [Change.JOIN]

    def test_the_failed_and_the_left_are_forgotten_in_time(self) -> None:
        net = Net()
        settings = SerfSettings(reconnect_timeout_s=100.0, tombstone_timeout_s=40.0)
        a, b, c = net.pool(3, settings=settings)
        b.do(lambda serf, now: serf.leave(now))
        net.until(lambda: b.of(LeaveEnded) != [])
        b.up = c.up = False
        net.until(lambda: a.statuses() == {"n0": ALIVE, "n1": LEFT, "n2": FAILED})
        net.until(lambda: a.statuses() == {"n0": ALIVE, "n2": FAILED}, 60)
        net.until(lambda: a.statuses() == {"n0": ALIVE}, 120)

    def test_a_member_may_ask_to_be_forgotten_sooner(self) -> None:
        net = Net()
        a = net.peer("a")
        for name, wish in (("b", "20s"), ("c", "nonsense")):
            peer = net.peer(name, tags={"rc_tm": wish})
            peer.do(lambda serf, now: serf.join(a.address, now))
            net.advance(1)
            peer.up = False
        net.until(lambda: a.statuses().get("b") is FAILED and a.statuses()["c"] is FAILED)
        net.advance(45)
        assert a.statuses() == {"a": ALIVE, "c": FAILED}

    def test_a_gate_keeps_others_out(self) -> None:
        net = Net()

        def gate(datacenter: str):
            return lambda _members: lambda _name, tags: None if tags["dc"] == datacenter else "wrong datacenter"

        a = net.peer("a", tags={"dc": "dc1"}, gate=gate("dc1"))
        b = net.peer("b", tags={"dc": "dc2"}, gate=gate("dc2"))
        b.do(lambda serf, now: serf.join(a.address, now))
        net.advance(5)
        assert a.statuses() == {"a": ALIVE}
        assert b.statuses() == {"b": ALIVE}

    def test_a_conflict_is_only_told_unless_it_is_to_be_resolved(self) -> None:
        net = Net()
        a, b, _c = net.pool(3)
        other = net.peer("n1", address=("127.0.0.99", 8301))
        other.do(lambda serf, now: serf.join(a.address, now))
        net.advance(30)
        assert a.serf.pool.node("n1").address == b.address
        assert any("claims" in line for line in a.log)
        assert other.of(NameLost) == b.of(NameLost) == []

    def test_the_one_that_most_know_keeps_the_name(self) -> None:
        net = Net()
        a, b, _c = net.pool(3, settings=SerfSettings(resolve_conflicts=True))
        other = net.peer("n1", address=("127.0.0.99", 8301), settings=SerfSettings(resolve_conflicts=True))
        other.do(lambda serf, now: serf.join(a.address, now))
        net.until(lambda: other.of(NameLost) != [], 60)
        assert b.of(NameLost) == []
        assert other.of(QueryEnded) == []

    def test_it_knows_itself(self) -> None:
        net = Net()
        _a, b = net.pool(2)
        assert b.serf.local_member().name == "n1"


class TestEvents:
    def test_each_gets_an_event_once(self) -> None:
        net = Net(loss=0.05)
        peers = net.pool(5)
        assert peers[2].do(lambda serf, now: serf.user_event("deploy", b"v1", now)) == 1
        net.advance(10)
        for peer in peers:
            assert [came.event for came in peer.of(UserEventCame)] == [wire.Event(1, "deploy", b"v1")]

    def test_times_follow_each_other(self) -> None:
        net = Net()
        a, b = net.pool(2)
        a.do(lambda serf, now: serf.user_event("one", None, now))
        net.advance(3)
        b.do(lambda serf, now: serf.user_event("two", b"", now))
        net.advance(3)
        assert [(came.event.ltime, came.event.name) for came in a.of(UserEventCame)] == [(1, "one"), (2, "two")]

    def test_who_joins_gets_past_events_only_if_asked_for(self) -> None:
        net = Net()
        a, b = net.pool(2)
        a.do(lambda serf, now: serf.user_event("old", b"x", now))
        net.advance(3)
        late, deaf = net.peer("late"), net.peer("deaf")
        late.do(lambda serf, now: serf.join(a.address, now, ignore_old=False))
        deaf.do(lambda serf, now: serf.join(a.address, now))
        net.advance(3)
        assert [came.event.name for came in late.of(UserEventCame)] == ["old"]
        assert deaf.of(UserEventCame) == []
        b.do(lambda serf, now: serf.user_event("new", None, now))
        net.advance(3)
        assert [came.event.name for came in deaf.of(UserEventCame)] == ["new"]

    def test_after_a_restart_what_was_seen_does_not_come_again(self) -> None:
        net = Net()
        a, _b = net.pool(2)
        for name in ("one", "two"):
            a.do(lambda serf, now, name=name: serf.user_event(name, None, now))
        net.advance(3)
        back = net.peer("back", settings=SerfSettings(least_event_time=2))
        back.do(lambda serf, now: serf.join(a.address, now, ignore_old=False))
        net.advance(3)
        assert [came.event.name for came in back.of(UserEventCame)] == ["two"]

    def test_what_is_too_large_is_refused(self) -> None:
        net = Net()
        a = net.peer("a")
        with pytest.raises(InternalError, match="limit of 512 bytes before encoding"):
            a.do(lambda serf, now: serf.user_event("e", b"x" * 512, now))
        with pytest.raises(InternalError, match="after encoding"):
            a.do(lambda serf, now: serf.user_event("e", b"x" * 511, now))
        assert a.of(UserEventCame) == []


class TestQueries:
    def ask(self, net: Net, asker: Peer, peers: list[Peer], **more):
        number = asker.do(lambda serf, now: serf.queries.ask("load", b"?", now, ack=True, **more))
        for _ in range(200):
            net.advance(0.02)
            for peer in peers:
                for came in peer.of(QueryCame):
                    peer.said.remove(came)
                    peer.do(lambda serf, now, it=came, me=peer: serf.queries.respond(it.query, me.name.encode(), now))
        ended = [end for end in asker.of(QueryEnded) if end.number == number]
        assert len(ended) == 1
        return ended[0].result

    def test_everybody_acks_and_answers(self) -> None:
        net = Net()
        peers = net.pool(4)
        result = self.ask(net, peers[1], peers)
        assert sorted(result.acks) == ["n0", "n1", "n2", "n3"]
        assert result.responses == {name: name.encode() for name in ("n0", "n1", "n2", "n3")}
        assert result.nodes == 4

    @pytest.mark.parametrize(
        ("part", "who"),
        [(encode_node_filter(["n0", "n3"]), ["n0", "n3"]), (encode_tag_filter("role", "^w"), ["n0", "n1", "n2", "n3"])],
    )
    def test_filters(self, part: bytes, who: list[str]) -> None:
        net = Net()
        peers = net.pool(4, tags={"role": "web"})
        result = self.ask(net, peers[1], peers, filters=(part,), timeout_s=2.0)
        assert sorted(result.acks) == sorted(result.responses) == who

    def test_relays_bring_answers_round_a_broken_way(self) -> None:
        net = Net()
        peers = net.pool(5)
        net.cut(peers[0], peers[4])
        direct = self.ask(net, peers[0], peers, timeout_s=1.5)
        assert "n4" not in direct.responses
        round_ = self.ask(net, peers[0], peers, relay_factor=4, timeout_s=1.5)
        assert round_.responses["n4"] == b"n4"
        assert len(round_.responses) == 5

    def test_a_silent_member_does_not_hold_the_asker(self) -> None:
        net = Net()
        a, _b = net.pool(2)
        number = a.do(lambda serf, now: serf.queries.ask("quiet", None, now))
        net.until(lambda: a.of(QueryEnded) != [], 10)
        assert a.of(QueryEnded)[0].number == number
        assert a.of(QueryEnded)[0].result.responses == {}

    def test_what_is_too_large_is_refused(self) -> None:
        net = Net()
        a = net.peer("a")
        with pytest.raises(InternalError, match="query exceeds limit of 1024 bytes"):
            a.do(lambda serf, now: serf.queries.ask("q", b"x" * 1024, now))
        a.do(lambda serf, now: serf.queries.ask("q", b"x", now))
        came = a.of(QueryCame)[0]
        with pytest.raises(InternalError, match="response exceeds limit of 1024 bytes"):
            a.do(lambda serf, now: serf.queries.respond(came.query, b"x" * 1024, now))

    def test_serfs_own_ping_is_acked_and_answered_by_nobody(self) -> None:
        net = Net()
        a, b = net.pool(2)
        a.do(lambda serf, now: serf.queries.ask("_serf_ping", None, now, ack=True))
        net.until(lambda: a.of(QueryEnded) != [], 10)
        result = a.of(QueryEnded)[0].result
        assert sorted(result.acks) == ["n0", "n1"]
        assert b.of(QueryCame) == []


class TestKeys:
    OLD, NEW = bytes(range(32)), bytes(range(1, 17))

    def ask(self, net: Net, peer: Peer, name: str, key: bytes = b""):
        peer.said.clear()
        peer.do(lambda serf, now: serf.queries.ask(name, encode(wire.KeyRequest(key)), now))
        net.until(lambda: peer.of(QueryEnded) != [], 30)
        return report(peer.of(QueryEnded)[0].result)

    def test_a_rotation_without_a_gap(self) -> None:
        net = Net()
        peers = net.pool(4, keys=[self.OLD])
        for name, key in ((INSTALL, self.NEW), (USE, self.NEW), (REMOVE, self.OLD)):
            told = self.ask(net, peers[1], name, key)
            assert (told.responses, told.errors, told.problem) == (4, 0, None)
            net.advance(5)
            assert all(status is ALIVE for peer in peers for status in peer.statuses().values())
        assert all(peer.ring.keys == (self.NEW,) for peer in peers)
        told = self.ask(net, peers[0], LIST)
        text = "AQIDBAUGBwgJCgsMDQ4PEA=="
        assert (told.keys, told.primary_keys) == ({text: 4}, {text: 4})
        net.advance(60)
        assert all(status is ALIVE for peer in peers for status in peer.statuses().values())

    def test_refusals_are_told_by_name(self) -> None:
        net = Net()
        peers = net.pool(3, keys=[self.OLD])
        told = self.ask(net, peers[0], REMOVE, self.OLD)
        assert told.problem == "3/3 nodes reported failure"
        assert told.messages == dict.fromkeys(("n0", "n1", "n2"), "Removing the primary key is not allowed")
        assert self.ask(net, peers[0], USE, self.NEW).errors == 3

    def test_a_pool_in_plain_text_has_no_keys(self) -> None:
        net = Net()
        peers = net.pool(2)
        told = self.ask(net, peers[0], LIST)
        assert set(told.messages.values()) == {"Keyring is empty (encryption not enabled)"}
        told = self.ask(net, peers[0], INSTALL, self.NEW)
        assert set(told.messages.values()) == {"No keyring to modify (encryption not enabled)"}

    def test_a_missing_member_is_noticed(self) -> None:
        net = Net()
        peers = net.pool(3, keys=[self.OLD])
        peers[2].up = False
        told = self.ask(net, peers[0], INSTALL, self.NEW)
        assert told.problem == "2/3 nodes reported success"

    def test_a_wrong_key_joins_nothing(self) -> None:
        net = Net()
        a = net.peer("a", keys=[self.OLD])
        for number, keys in enumerate(([self.NEW], [])):
            b = net.peer(f"b{number}", keys=keys)
            b.do(lambda serf, now: serf.join(a.address, now))
            net.advance(3)
            assert a.statuses() == {"a": ALIVE}
            assert len(b.statuses()) == 1


class TestCoordinates:
    def test_members_learn_where_they_are(self) -> None:
        net = Net(delay_s=0.02)
        a, b = net.pool(2)
        net.advance(120)
        from meshagent.catalog.coordinates import distance_s

        assert distance_s(a.serf.placing.vivaldi.coordinate, b.serf.placing.vivaldi.coordinate) == pytest.approx(
            0.04, rel=0.3
        )
        assert set(a.serf.placing.known) == {"n1"}

    def test_they_can_be_off(self) -> None:
        net = Net(delay_s=0.02)
        a, _b = net.pool(2, settings=SerfSettings(coordinates=False))
        net.advance(20)
        assert a.serf.ack_payload() == b""
        assert a.serf.placing.known == {}


class TestHostileInput:
    def give(self, peer: Peer, data: bytes) -> None:
        peer.do(lambda serf, now: serf.user_message(data, ("127.0.0.66", 1), now))

    def test_what_cannot_be_read_is_dropped_and_counted(self) -> None:
        net = Net()
        a, _b = net.pool(2)
        before = a.statuses()
        bad = [b"", b"\x63", b"\x01\xc1", encode(wire.KeyRequest(b"")), encode(wire.ConflictResponse())]
        bad.append(encode(wire.Query(1, 1, b"", 1, "x", name="q", flags=1)))
        for data in bad:
            self.give(a, data)
        assert a.serf.counts["dropped.malformed"] == len(bad)
        assert a.statuses() == before

    @pytest.mark.parametrize("time", [2**63, 2**64 - 1, 2**63 - 1, 2**62])
    def test_a_clock_in_the_far_future_moves_nobody(self, time: int) -> None:
        net = Net()
        a, _b = net.pool(2)
        clocks = (a.serf.clock.time, a.serf.events.clock.time, a.serf.queries.clock.time)
        for message in (
            wire.Leave(time, "n1"),
            wire.Join(time, "n1"),
            wire.Event(time, "e"),
            wire.Query(time, 1, b"abcd", 1, "x", name="q"),
        ):
            self.give(a, encode(message))
        state = wire.PushPull(time, {"n1": time}, ("n1",), time, (wire.EventsAt(time, (("e", None),)),), time)
        a.do(lambda serf, now: serf.merge_remote_state(encode(state), False, now))
        a.do(lambda serf, now: serf.merge_remote_state(b"\x01\x80", False, now))
        assert (a.serf.clock.time, a.serf.events.clock.time, a.serf.queries.clock.time) == clocks
        assert a.statuses() == {"n0": ALIVE, "n1": ALIVE}
        assert a.of(UserEventCame) == []

    @pytest.mark.parametrize("time", [2**62 - 1, 2**33])
    def test_a_clock_far_ahead_moves_only_who_has_hardly_begun(self, time: int) -> None:
        """Who joins learns from a full exchange where its pool is; a message moves nobody that far, and an old clock
        believes no exchange either. Everybody is heard afterwards."""
        net = Net()
        a, b, c = net.pool(3)
        told = encode(wire.PushPull(time, {}, (), time, (), time))
        b.serf.clock.witness(5000)
        b.do(lambda serf, now: serf.merge_remote_state(told, False, now))
        for message in (wire.Event(time, "e"), wire.Leave(time, "n1"), wire.Join(time, "n1")):
            for peer in (a, b):
                self.give(peer, encode(message))
        assert all(peer.serf.clock.time < 2**33 for peer in (a, b))
        assert a.of(UserEventCame) == []
        c.do(lambda serf, now: serf.merge_remote_state(told, False, now))
        assert c.serf.clock.time == time
        assert a.statuses() == {"n0": ALIVE, "n1": ALIVE, "n2": ALIVE}

    def test_a_replayed_leave_of_an_earlier_life_does_nothing(self) -> None:
        net = Net()
        a, _b, c = net.pool(3)
        old = encode(wire.Leave(1, "n1"))
        for peer in (a, c):
            self.give(peer, old)
        net.advance(20)
        assert a.statuses()["n1"] is c.statuses()["n1"] is ALIVE

    def test_an_answer_that_would_be_too_large_is_none(self) -> None:
        net = Net()
        a = net.peer("a")
        name = "n" * 1100
        a.do(lambda serf, now: serf.notify_join(Node(name, b"\x7f\0\0\x09", 1), now))
        query = wire.Query(1, 1, b"\x7f\0\0\x09", 1, "x", name="_serf_conflict", payload=name.encode())
        self.give(a, encode(query))
        assert a.serf.counts["dropped.malformed"] == 1

    def test_captured_messages_with_damage_do_no_harm(self) -> None:
        """Whatever bytes come, the machine lives, and nobody who answers is taken for gone."""
        rng = random.Random(11)
        net = Net()
        a, b = net.pool(2)
        messages = [
            bytes([part["type"]]) + go.pack(plain(part["body"]))
            for line in recorded()
            for part, _ in serf_parts(line["decoded"])
            if "body" in part
        ]
        for _ in range(4000):
            damaged = bytearray(rng.choice(messages))
            for _ in range(rng.randrange(3)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            data = bytes(damaged[: rng.randrange(len(damaged) + 1)])
            self.give(a, data)
            a.do(lambda serf, now, data=data: serf.merge_remote_state(data, rng.random() < 0.5, now))
            a.do(lambda serf, now, data=data: serf.ping_complete(b.serf.pool.local, 0.01, data, now))
        net.advance(40)
        assert a.statuses()["n1"] in (ALIVE, LEAVING)
        assert b.statuses() == {"n0": ALIVE, "n1": ALIVE}

    def test_tags_that_cannot_be_read_are_none(self) -> None:
        net = Net()
        a = net.peer("a")
        a.do(lambda serf, now: serf.notify_join(Node("odd", b"\x7f\0\0\x09", 1, b"\xff\x05"), now))
        assert a.serf.members.get("odd").tags == {}
        assert a.serf.counts["dropped.tags"] == 1


def test_the_same_seed_gives_the_same_history() -> None:
    def history() -> list[str]:
        net = Net(seed=5, loss=0.1)
        peers = net.pool(4)
        peers[1].do(lambda serf, now: serf.user_event("e", None, now))
        peers[3].up = False
        net.advance(40)
        return [line for peer in peers for line in peer.log]

    assert history() == history()

from __future__ import annotations

from dataclasses import replace

import pytest
from meshtest.gossipmachine import STILL, Player, peer, said

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.beliefs import MAX_INCARNATION, compatible
from meshagent.agent.gossip.node import DEFAULT_VERSIONS, NodeState
from meshagent.agent.gossip.settings import parse_networks
from meshagent.agent.gossip.signals import LeaveSent

ALIVE, SUSPECT, DEAD, LEFT = NodeState


def alive(name: str, incarnation: int = 1, **fields: object) -> bytes:
    return m.encode_alive(peer(name, incarnation, **fields))


def suspect(name: str, incarnation: int = 1, by: str = "x") -> bytes:
    return m.encode_suspect(m.Suspect(incarnation, name, by))


def dead(name: str, incarnation: int = 1, by: str = "x") -> bytes:
    return m.encode_dead(m.Dead(incarnation, name, by))


def told(player: Player) -> list[object]:
    """What rides along with the next packet: an ack."""
    player.delegate.heard.clear()
    return [what for _, what in said(player.hear(m.encode_ping(m.Ping(1, "me"))))[1:]]


class TestAlive:
    def test_a_new_node_joins_and_is_told_on(self) -> None:
        player = Player()
        player.hear(alive("a"))
        assert player.delegate.take() == [("join", "a")]
        assert peer("a") in told(player)

    def test_the_same_again_changes_nothing(self) -> None:
        player = Player()
        player.know("a")
        player.hear(alive("a"), alive("a", meta=b"other"))
        assert player.delegate.take() == []
        assert player.machine.node("a") == peer("a")

    def test_new_metadata_needs_a_higher_incarnation(self) -> None:
        player = Player()
        player.know("a")
        player.hear(alive("a", 2, meta=b"new"))
        assert player.delegate.take() == [("update", "a")]
        player.hear(alive("a", 1, meta=b"old"))
        assert player.machine.node("a") == peer("a", 2, meta=b"new")

    def test_it_ends_a_suspicion(self) -> None:
        player = Player()
        player.know("a")
        player.hear(suspect("a"))
        player.hear(alive("a", 2))
        assert player.state("a") is ALIVE
        player.advance(600)
        assert player.state("a") is ALIVE

    def test_the_dead_come_back_with_a_higher_incarnation_only(self) -> None:
        player = Player()
        player.know("a")
        player.hear(dead("a"))
        player.hear(alive("a"))
        assert player.state("a") is DEAD
        player.delegate.take()
        player.hear(alive("a", 2))
        assert player.delegate.take() == [("join", "a")]

    def test_port_0_is_our_port(self) -> None:
        player = Player()
        player.hear(alive("a", port=0))
        assert player.machine.node("a") == peer("a", port=7946)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"versions": b""}, "versions"),
            ({"versions": bytes(6)}, "versions"),
            ({"versions": bytes((5, 1, 2, 2, 5, 4))}, "versions"),
            ({"versions": bytes((1, 5, 9, 2, 5, 4))}, "versions"),
            ({"versions": bytes((4, 5, 5, 2, 5, 4))}, "versions"),
            ({"versions": bytes((1, 5, 2, 0, 0, 0))}, "versions"),
            ({"incarnation": 0xFFFF_FFFF}, "incarnation"),
        ],
    )
    def test_what_cannot_be_is_dropped_and_counted(self, fields: dict[str, object], reason: str) -> None:
        player = Player()
        player.hear(alive("a", **fields))  # type: ignore[arg-type]
        assert player.machine.node("a") is None
        assert player.dropped() == {reason: 1}

    def test_only_allowed_networks(self) -> None:
        player = Player(replace(STILL, allowed=parse_networks(["10.0.1.0/24"])))
        player.hear(alive("a"), alive("b", addr=b"\x0b\0\0\1"))
        assert [node.name for node in player.machine.nodes()] == ["me", "a"]
        assert player.dropped() == {"address": 1}

    def test_the_layer_above_may_refuse(self) -> None:
        player = Player()
        player.delegate.alive_refusal = "wrong datacenter"
        player.hear(alive("a"))
        assert player.machine.node("a") is None
        assert player.dropped() == {"refused": 1}


class TestNames:
    ELSEWHERE = {"addr": b"\x0a\x09\x09\x09"}

    def test_the_name_of_a_live_node_cannot_be_taken(self) -> None:
        player = Player()
        player.know("a")
        player.hear(alive("a", 99, **self.ELSEWHERE))
        assert player.delegate.take() == [("conflict", (peer("a").address, ("10.9.9.9", 7946)))]
        assert player.machine.node("a") == peer("a")
        assert player.dropped() == {"conflict": 1}

    def test_nor_that_of_a_suspect(self) -> None:
        player = Player()
        player.know("a")
        player.hear(suspect("a"))
        player.hear(alive("a", 99, **self.ELSEWHERE))
        assert player.state("a") is SUSPECT

    def test_who_left_can_come_back_elsewhere(self) -> None:
        player = Player()
        player.know("a")
        player.hear(dead("a", by="a"))
        player.delegate.take()
        player.hear(alive("a", 1, **self.ELSEWHERE))
        assert player.delegate.take() == [("join", "a")]
        assert player.machine.node("a") == peer("a", **self.ELSEWHERE)

    @pytest.mark.parametrize(("reclaim_s", "waited", "taken"), [(30, 31, True), (30, 29, False), (0, 10_000, False)])
    def test_a_dead_name_can_be_reclaimed_after_a_while(self, reclaim_s: float, waited: float, taken: bool) -> None:
        player = Player(replace(STILL, reclaim_s=reclaim_s))
        player.know("a")
        player.hear(dead("a"))
        player.advance(waited)
        player.hear(alive("a", 1, **self.ELSEWHERE))
        assert (player.state("a") is ALIVE) is taken

    def test_our_own_name_is_ours(self) -> None:
        player = Player()
        player.hear(alive("me", 9, **self.ELSEWHERE))
        assert player.delegate.take("conflict")
        assert player.machine.local.address == ("10.0.0.1", 7946)


class TestOurselves:
    @pytest.mark.parametrize("accusation", [suspect("me", 4), dead("me", 4), dead("me", 4, by="me")])
    def test_we_refute_with_a_higher_incarnation(self, accusation: bytes) -> None:
        player = Player()
        player.know("a")
        player.hear(accusation)
        assert player.machine.local.incarnation == 5
        assert player.machine.local.state is ALIVE
        assert player.machine.health_score == 1
        assert player.machine.local in told(player)

    def test_an_old_accusation_does_not_matter(self) -> None:
        player = Player()
        player.hear(suspect("me", 1))
        player.hear(suspect("me", 1))
        assert player.machine.local.incarnation == 2

    def test_what_an_earlier_life_said_is_refuted(self) -> None:
        player = Player()
        player.hear(alive("me", 7, addr=b"\x0a\0\0\1", meta=b"old"))
        assert player.machine.local.incarnation == 8
        assert player.machine.local.meta == b""

    def test_our_own_words_are_not_refuted(self) -> None:
        player = Player()
        player.hear(m.encode_alive(player.machine.local))
        assert player.machine.local.incarnation == 1

    @pytest.mark.parametrize("incarnation", [MAX_INCARNATION, MAX_INCARNATION + 1])
    def test_an_accusation_that_could_not_be_refuted_is_dropped(self, incarnation: int) -> None:
        """Else one forged packet would kill a node for good: no incarnation is left to answer with."""
        player = Player()
        player.know("a")
        player.hear(
            suspect("me", incarnation), dead("me", incarnation), dead("a", incarnation), suspect("a", incarnation)
        )
        assert player.machine.local.incarnation == 1
        assert player.state("a") is ALIVE
        assert player.dropped() == {"incarnation": 4}

    def test_one_below_it_is_refuted_and_then_no_more(self) -> None:
        player = Player()
        player.hear(dead("me", MAX_INCARNATION - 1))
        assert player.machine.local.incarnation == MAX_INCARNATION
        player.hear(dead("me", MAX_INCARNATION))
        assert player.machine.local.state is ALIVE

    def test_new_metadata_is_announced(self) -> None:
        player = Player()
        player.know("a")
        player.delegate.meta = b"new"
        player.machine.update_meta(player.now)
        assert player.delegate.take() == [("update", "me")]
        assert (player.machine.local.meta, player.machine.local.incarnation) == (b"new", 2)
        assert player.machine.local in told(player)


class TestSuspicion:
    def test_it_is_told_on_and_ends_in_death(self) -> None:
        player = Player()
        player.know("a", "b", "c", "d")
        player.hear(suspect("a"))
        assert player.state("a") is SUSPECT
        assert m.Suspect(1, "a", "x") in told(player)
        player.advance(4 * 6 - 0.1)
        assert player.state("a") is SUSPECT
        player.advance(0.2)
        assert player.state("a") is DEAD
        assert player.delegate.take() == [("dead", "a")]
        assert m.Dead(1, "a", "me") in told(player)

    def test_others_who_agree_make_it_shorter(self) -> None:
        player = Player()
        player.know("a", "b", "c", "d")
        player.hear(suspect("a"))
        player.hear(suspect("a", by="y"))
        assert m.Suspect(1, "a", "y") in told(player)
        player.hear(suspect("a", by="y"), suspect("a", by="z"))
        player.advance(3.9)
        assert player.state("a") is SUSPECT
        player.advance(0.2)
        assert player.state("a") is DEAD

    def test_more_than_enough_accusers_are_not_told_on(self) -> None:
        player = Player()
        player.know("a", "b", "c", "d")
        for accuser in "xyzw":
            player.hear(suspect("a", by=accuser))
        accusers = {what.sender for what in told(player) if isinstance(what, m.Suspect)}
        assert accusers == {"z"}

    def test_in_a_small_pool_nobody_is_waited_for(self) -> None:
        player = Player()
        player.know("a", "b")
        player.hear(suspect("a"))
        player.advance(4.1)
        assert player.state("a") is DEAD

    def test_an_old_or_unknown_one_is_ignored(self) -> None:
        player = Player()
        player.know("a", incarnation=5)
        player.hear(suspect("a", 4), dead("a", 4), suspect("nobody"), dead("nobody"))
        assert player.state("a") is ALIVE
        assert player.delegate.take() == []


class TestDeath:
    def test_dead_and_left_are_told_apart(self) -> None:
        player = Player()
        player.know("a", "b")
        player.hear(dead("a"), dead("b", by="b"))
        assert player.delegate.take() == [("dead", "a"), ("left", "b")]
        assert (player.state("a"), player.state("b")) == (DEAD, LEFT)

    def test_nobody_dies_twice(self) -> None:
        player = Player()
        player.know("a")
        player.hear(dead("a"))
        player.hear(dead("a", 3), suspect("a", 3), dead("a", by="a"))
        assert player.delegate.take() == [("dead", "a")]


class TestLeaving:
    def test_it_is_told_often_enough_and_then_known(self) -> None:
        player = Player(replace(STILL, gossip_interval_s=0.2))
        player.know("a", "b")
        player.machine.leave(player.now)
        assert player.machine.local.state is LEFT
        commands = player.keep(player.machine.take_commands()) + player.advance(3)
        goodbyes = [what for _, what in said(commands) if what == m.Dead(1, "me", "me")]
        assert len(goodbyes) == 4 * 1
        assert [command for command in commands if isinstance(command, LeaveSent)] == [LeaveSent()]

    def test_alone_there_is_nobody_to_tell(self) -> None:
        player = Player()
        player.machine.leave(player.now)
        player.machine.leave(player.now)
        assert player.keep(player.machine.take_commands()) == [LeaveSent()]

    def test_who_leaves_does_not_come_back_by_itself(self) -> None:
        player = Player()
        player.know("a")
        player.machine.leave(player.now)
        player.hear(alive("me", 9, addr=b"\x0a\0\0\1"), dead("me", 9))
        assert player.machine.local.state is LEFT
        assert player.machine.alive_others()


@pytest.mark.parametrize(
    ("theirs", "fits"),
    [
        (DEFAULT_VERSIONS, True),
        (bytes((1, 5, 2, 2, 5, 2)), True),
        (bytes((1, 5, 5, 2, 5, 5)), True),
        (bytes((2, 4, 3, 3, 4, 4)), True),
        (bytes((3, 5, 3, 2, 5, 4)), False),
        (bytes((1, 5, 2, 5, 5, 5)), False),
        (b"\1\5\2", False),
    ],
)
def test_versions_must_meet(theirs: bytes, fits: bool) -> None:
    assert compatible(DEFAULT_VERSIONS, theirs) is fits

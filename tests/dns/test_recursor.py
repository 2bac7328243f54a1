"""The machine that asks other servers, as a script of what happened and what is to be done."""

from __future__ import annotations

import random

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.dns.recursor import (
    Answered,
    Ask,
    Done,
    Failed,
    Lookup,
    Server,
    address_query,
    parse_recursor,
    recursor_order,
)
from meshagent.dns.settings import DnsSettings
from meshagent.errors import ConfigError
from meshagent.machine import CancelTimer, Command, SetTimer, TimerFired

FIRST: Server = ("192.0.2.1", 53)
SECOND: Server = ("192.0.2.2", 53)
QUERY = dns.message.make_query("www.example.com", "A", id=0x1234).to_wire()


def lookup(*, tcp: bool = False, follow_truncated: bool = False) -> Lookup:
    return Lookup(QUERY, [FIRST, SECOND], 2.0, random.Random(1), tcp=tcp, follow_truncated=follow_truncated)


def asked(commands: list[Command], server: Server, at: float, *, tcp: bool = False) -> bytes:
    """What was sent, after checking that it went to `server` with a time limit."""
    assert [type(command) for command in commands] == [Ask, SetTimer]
    ask, timer = commands
    assert isinstance(ask, Ask) and isinstance(timer, SetTimer)
    assert (ask.server, ask.tcp, timer.at) == (server, tcp, at + 2.0)
    assert ask.data[2:] == QUERY[2:]
    return ask.data


def answer(sent: bytes, *, rcode: int = 0, truncated: bool = False) -> Answered:
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    return Answered(sent[:2] + flags.to_bytes(2, "big") + sent[4:])


def done(commands: list[Command]) -> Done:
    assert [type(command) for command in commands] == [CancelTimer, Done]
    found = commands[1]
    assert isinstance(found, Done)
    return found


def test_the_first_answer_is_passed_on_with_the_clients_id() -> None:
    machine = lookup()
    sent = asked(machine.start(0.0), FIRST, 0.0)
    assert sent[:2] != QUERY[:2]
    found = done(machine.handle(answer(sent), 0.1))
    assert found.reply is not None and found.reply[:2] == QUERY[:2]


def test_nxdomain_is_an_answer() -> None:
    machine = lookup()
    assert done(machine.handle(answer(asked(machine.start(0.0), FIRST, 0.0), rcode=3), 0.1)).reply is not None


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_any_other_rcode_leads_to_the_next(rcode: int) -> None:
    # D31
    machine = lookup()
    sent = asked(machine.start(0.0), FIRST, 0.0)
    again = asked(machine.handle(answer(sent, rcode=rcode), 0.5), SECOND, 0.5)
    assert again[:2] != sent[:2]


def test_failure_and_silence_lead_to_the_next_and_then_to_the_end() -> None:
    machine = lookup()
    asked(machine.start(0.0), FIRST, 0.0)
    asked(machine.handle(Failed("refused"), 0.1), SECOND, 0.1)
    found = done(machine.handle(TimerFired("attempt"), 2.1))
    assert found.reply is None
    assert found.why == "192.0.2.1:53: refused; 192.0.2.2:53: no reply in time"


class TestForgery:
    def test_what_does_not_fit_is_ignored(self) -> None:
        machine = lookup()
        sent = asked(machine.start(0.0), FIRST, 0.0)
        wrong_id = bytes((sent[0] ^ 1, sent[1]))
        assert machine.handle(answer(wrong_id + sent[2:]), 0.1) == []
        assert machine.handle(answer(sent.replace(b"www", b"wwx")), 0.1) == []
        assert machine.handle(Answered(sent), 0.1) == []
        assert machine.handle(Answered(b""), 0.1) == []
        assert done(machine.handle(answer(sent), 0.2)).reply is not None

    def test_guessing_ends_the_attempt(self) -> None:
        machine = lookup()
        sent = asked(machine.start(0.0), FIRST, 0.0)
        commands: list[Command] = []
        for guess in range(100):
            commands = machine.handle(answer(guess.to_bytes(2, "big") + sent[2:]), 0.1)
            if commands:
                break
        assert guess < 20
        asked(commands, SECOND, 0.1)

    def test_ids_are_drawn_anew_each_time(self) -> None:
        rng = random.Random(1)
        ids = set()
        for _ in range(50):
            ask = Lookup(QUERY, [FIRST], 2.0, rng).start(0.0)[0]
            assert isinstance(ask, Ask)
            ids.add(ask.data[:2])
        assert len(ids) > 45

    @given(st.lists(st.binary(max_size=40) | st.just(b"reply"), max_size=40), st.booleans())
    def test_any_bytes_are_handled(self, packets: list[bytes], tcp: bool) -> None:
        machine = lookup(tcp=tcp)
        sent = asked(machine.start(0.0), FIRST, 0.0, tcp=tcp)
        for packet in packets:
            commands = machine.handle(Answered(packet), 0.1)
            assert all(isinstance(command, Command) for command in commands)
            if any(isinstance(command, Done) for command in commands):
                break
        assert len(sent) == len(QUERY)


class TestTruncated:
    def test_a_client_gets_the_cut_answer(self) -> None:
        machine = lookup()
        sent = asked(machine.start(0.0), FIRST, 0.0)
        found = done(machine.handle(answer(sent, truncated=True), 0.1))
        assert found.reply is not None and found.reply[2] & 0x02

    def test_our_own_question_is_asked_again_over_tcp(self) -> None:
        machine = lookup(follow_truncated=True)
        sent = asked(machine.start(0.0), FIRST, 0.0)
        sent = asked(machine.handle(answer(sent, truncated=True), 0.1), FIRST, 0.1, tcp=True)
        assert done(machine.handle(answer(sent), 0.2)).reply is not None

    def test_over_tcp_nothing_is_cut_twice(self) -> None:
        machine = lookup(tcp=True, follow_truncated=True)
        sent = asked(machine.start(0.0), FIRST, 0.0, tcp=True)
        assert done(machine.handle(answer(sent, truncated=True), 0.1)).reply is not None


class TestServers:
    @pytest.mark.parametrize(
        ("text", "server"),
        [
            ("192.0.2.1", ("192.0.2.1", 53)),
            ("192.0.2.1:5353", ("192.0.2.1", 5353)),
            ("fd00::1", ("fd00::1", 53)),
            ("[fd00::1]", ("fd00::1", 53)),
            ("[fd00::1]:5353", ("fd00::1", 5353)),
        ],
    )
    def test_addresses(self, text: str, server: Server) -> None:
        assert parse_recursor(text) == server

    @pytest.mark.parametrize("text", ["", "dns.example.com", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:99999", "0.0.0.0"])
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(ConfigError, match="recursors: "):
            parse_recursor(text)

    def test_order(self) -> None:
        texts = tuple(f"192.0.2.{n}" for n in range(1, 6))
        in_turn = [(text, 53) for text in texts]
        assert recursor_order(DnsSettings(recursors=texts), random.Random(1)) == in_turn
        shuffled = DnsSettings(recursors=texts, recursor_strategy="random")
        orders = {tuple(recursor_order(shuffled, random.Random(seed))) for seed in range(20)}
        assert len(orders) > 10

    def test_our_own_questions(self) -> None:
        query = address_query("www.example.com.", 28)
        assert query is not None
        parsed = dns.message.from_wire(query)
        assert str(parsed.question[0]) == "www.example.com. IN AAAA"
        assert parsed.payload == 1232
        assert address_query("a..b", 1) is None

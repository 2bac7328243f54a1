"""What is kept, for how long, and that it is gone when it is no longer true."""

from __future__ import annotations

import random
from typing import Any

from meshtest.dnstext import question_bytes

from meshagent.catalog.watch import Watches
from meshagent.dns.answer import Plan
from meshagent.dns.cache import AnswerCache, Facts
from meshagent.dns.names import Zones
from meshagent.dns.records import zone_record
from meshagent.dns.sections import Sections, unknown_name
from meshagent.dns.settings import DnsSettings
from meshagent.dns.wire import QUESTION_OWNER, ZONE_OWNER, address, parse_question

SETTINGS = DnsSettings()
ZONE = Zones.of("consul", "").main
TOPIC = ("service-health", "web")


def soa(second: int = 1) -> Any:
    return zone_record(SETTINGS, ZONE_OWNER, second)


def query(name: str = "web.service.consul") -> bytes:
    return question_bytes({"name": name, "type": "A"})


def sections_of(count: int, topic: Any = TOPIC) -> Sections:
    made = Sections((topic,), [address(QUESTION_OWNER, 0, number.to_bytes(4, "big")) for number in range(count)])
    made.simple = True
    return made


class Kept:
    """A cache with a shortcut that puts one query in."""

    def __init__(self, **limits: int) -> None:
        self.watches = Watches()
        self.cache = AnswerCache(self.watches, random.Random(1), **limits)

    def facts(self, sections: Sections, name: str = "web.service.consul") -> Facts:
        found = self.cache.offer_facts((name, 1), sections) or self.cache.offer_facts((name, 1), sections)
        assert found is not None
        return found

    def put(self, sections: Sections, name: str = "web.service.consul", *, tcp: bool = False) -> bytes:
        packet = query(name)
        facts = self.facts(sections, name)
        plan = Plan(parse_question(packet), sections, ZONE, SETTINGS, tcp)
        if not self.cache.offer_query(packet[2:], tcp, plan, facts):
            assert self.cache.offer_query(packet[2:], tcp, plan, facts)
        return packet[2:]

    def change(self, topic: Any = TOPIC) -> None:
        self.watches.notify(topic)
        self.watches.flush()


class TestAdmission:
    def test_a_name_asked_for_once_leaves_nothing_behind(self) -> None:
        kept = Kept()
        for number in range(20_000):
            assert kept.cache.offer_facts((f"x{number}", 1), unknown_name((("service-health", f"x{number}"),))) is None
        assert (len(kept.cache), kept.cache.size_bytes, len(kept.watches)) == (0, 0, 0)

    def test_a_name_asked_for_twice_is_kept(self) -> None:
        kept = Kept()
        assert kept.cache.offer_facts(("x", 1), unknown_name()) is None
        assert kept.cache.offer_facts(("x", 1), unknown_name()) is not None
        assert kept.cache.facts(("x", 1)) is not None

    def test_big_services_are_kept_at_once(self) -> None:
        assert Kept().cache.offer_facts(("x", 1), sections_of(100)) is not None

    def test_a_query_is_kept_the_second_time(self) -> None:
        kept = Kept()
        sections = sections_of(1)
        facts, packet = kept.facts(sections), query()
        plan = Plan(parse_question(packet), sections, ZONE, SETTINGS, False)
        assert not kept.cache.offer_query(packet[2:], False, plan, facts)
        assert kept.cache.offer_query(packet[2:], False, plan, facts)
        assert len(kept.cache) == 1

    def test_facts_that_changed_meanwhile_take_no_queries(self) -> None:
        kept = Kept()
        sections = sections_of(1)
        facts, packet = kept.facts(sections), query()
        plan = Plan(parse_question(packet), sections, ZONE, SETTINGS, False)
        kept.cache.offer_query(packet[2:], False, plan, facts)
        kept.change()
        assert not kept.cache.offer_query(packet[2:], False, plan, facts)
        assert len(kept.cache) == 0


class TestAnswers:
    def test_one_answer_serves_for_ever(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(1))
        first = kept.cache.refill(asked, False, 0.0, soa())
        assert first is not None
        assert {next(kept.cache.udp.rotating[asked]) for _ in range(10_000)} == {first}

    def test_orders_are_drawn_for_each_answer_while_they_are_rare(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(3))
        for second in range(20):
            assert kept.cache.refill(asked, False, float(second), soa()) is not None
            assert next(kept.cache.udp.rotating[asked], None) is None

    def test_under_load_a_set_of_orders_serves_many(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(3))
        draws, now = 0, 0.0
        answers = set()
        for _ in range(100_000):
            now += 10e-6
            ready = next(kept.cache.udp.rotating.get(asked, iter(())), None)
            if ready is None:
                draws += 1
                ready = kept.cache.refill(asked, False, now, soa())
            answers.add(ready)
        assert len(answers) == 6  # all orders of three are met
        assert draws < 40  # a second at 100,000 a second: 13 doublings, then one set every 50 to 80 ms

    def test_a_set_shrinks_again_when_the_load_goes(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(3))
        for number in range(12):
            kept.cache.refill(asked, False, number * 0.001, soa())
        for second in range(1, 6):
            kept.cache.refill(asked, False, float(second), soa())
        assert kept.cache.udp.entries[asked].budget == 1

    def test_big_answers_come_in_small_sets(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(1000), tcp=True)
        for number in range(12):
            kept.cache.refill(asked, True, number * 0.001, soa())
        assert kept.cache.tcp.entries[asked].budget > 1000
        assert kept.cache.size_bytes < 1_000_000

    def test_answers_with_a_serial_last_until_the_second_ends(self) -> None:
        kept = Kept()
        asked = kept.put(unknown_name((TOPIC,)))
        first = kept.cache.refill(asked, False, 0.0, soa(100))
        assert kept.cache.udp.timed[asked] == first
        kept.cache.new_second()
        assert asked not in kept.cache.udp.timed
        second = kept.cache.refill(asked, False, 1.0, soa(101))
        assert first is not None and second is not None
        assert first != second and first.replace((100).to_bytes(4, "big"), (101).to_bytes(4, "big")) == second

    def test_transports_are_apart(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(200))
        assert kept.cache.refill(asked, True, 0.0, soa()) is None
        kept.put(sections_of(200), tcp=True)
        udp, tcp = kept.cache.refill(asked, False, 0.0, soa()), kept.cache.refill(asked, True, 0.0, soa())
        assert udp is not None and tcp is not None and len(udp) < len(tcp)


class TestInvalidation:
    def test_its_topic_and_no_other(self) -> None:
        kept = Kept()
        asked = kept.put(sections_of(3))
        kept.cache.refill(asked, False, 0.0, soa())
        kept.change(("service-health", "db"))
        assert asked in kept.cache.udp.entries
        kept.change()
        assert kept.cache.refill(asked, False, 0.0, soa()) is None
        assert asked not in kept.cache.udp.rotating
        assert (len(kept.cache), kept.cache.size_bytes, len(kept.watches)) == (0, 0, 0)

    def test_all_spellings_and_transports_go_together(self) -> None:
        kept = Kept()
        sections = sections_of(3)
        facts = kept.facts(sections)
        for name in ("web.service.consul", "WEB.service.consul"):
            for tcp in (False, True):
                packet = query(name)
                plan = Plan(parse_question(packet), sections, ZONE, SETTINGS, tcp)
                for _ in range(2):
                    kept.cache.offer_query(packet[2:], tcp, plan, facts)
        assert len(kept.cache) == 4
        kept.change()
        assert (len(kept.cache), kept.cache.size_bytes) == (0, 0)

    def test_a_restored_snapshot_changes_everything(self) -> None:
        kept = Kept()
        kept.put(sections_of(3))
        kept.watches.notify_all()
        kept.watches.flush()
        assert len(kept.cache) == 0

    def test_clear_cancels_the_subscriptions(self) -> None:
        kept = Kept()
        kept.put(sections_of(3))
        kept.put(unknown_name(), "zork.consul")  # depends on nothing
        kept.cache.clear()
        assert (len(kept.cache), kept.cache.size_bytes, len(kept.watches)) == (0, 0, 0)


class TestBounds:
    def test_queries(self) -> None:
        kept = Kept(max_entries=10)
        asked = [kept.put(sections_of(1, ("node", f"n{n}")), f"n{n}.node.consul") for n in range(50)]
        assert len(kept.cache) == 10
        assert list(kept.cache.udp.entries) == asked[-10:]

    def test_facts(self) -> None:
        kept = Kept(max_facts=10)
        for number in range(50):
            kept.put(sections_of(1, ("node", f"n{number}")), f"n{number}.node.consul")
        assert len(kept.watches) == 10
        assert len(kept.cache) == 10

    def test_bytes(self) -> None:
        kept = Kept(max_bytes=100_000)
        for number in range(200):
            asked = kept.put(sections_of(30, ("node", f"n{number}")), f"n{number}.node.consul")
            kept.cache.refill(asked, False, 0.0, soa())
            assert kept.cache.size_bytes <= 100_000
        assert len(kept.cache) > 3

    def test_what_is_refilled_is_the_newest(self) -> None:
        kept = Kept(max_entries=3)
        first = kept.put(sections_of(3, ("node", "n0")), "n0.node.consul")
        for number in range(1, 10):
            kept.cache.refill(first, False, float(number), soa())
            kept.put(sections_of(3, ("node", f"n{number}")), f"n{number}.node.consul")
        assert first in kept.cache.udp.entries

    def test_the_count_of_bytes_comes_back_to_nothing(self) -> None:
        kept = Kept(max_entries=20, max_facts=15, max_bytes=60_000)
        rng = random.Random(3)
        for _ in range(2000):
            number = rng.randrange(40)
            if rng.random() < 0.2:
                kept.change(("node", f"n{number}"))
            elif kept.cache.facts((f"n{number}.node.consul", 1)) is None:
                topic = ("node", f"n{number}")
                asked = kept.put(
                    sections_of(rng.randrange(1, 12), topic), f"n{number}.node.consul", tcp=rng.random() < 0.3
                )
                kept.cache.refill(asked, False, rng.random(), soa())
        kept.cache.clear()
        assert (kept.cache.size_bytes, len(kept.cache), len(kept.watches)) == (0, 0, 0)

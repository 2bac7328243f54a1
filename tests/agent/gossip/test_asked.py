from meshagent.agent.gossip.asked import Asked
from meshagent.agent.gossip.serf_messages import FLAG_ACK, Query, QueryResponse
from meshagent.agent.gossip.serf_signals import QueryEnded


def query(ltime: int = 1, filters: tuple[bytes, ...] = ()) -> Query:
    return Query(ltime, 77, b"\x7f\0\0\1", 1, "a", filters=filters)


def response(sender: str, *, ltime: int = 1, id: int = 77, flags: int = 0) -> QueryResponse:
    return QueryResponse(ltime, id, sender, flags, sender.encode())


def test_a_query_ends_when_everybody_has_answered() -> None:
    asked = Asked()
    number = asked.begin(query(), 10.0, 2)
    assert asked.answer(response("a", flags=FLAG_ACK)) is None
    assert asked.answer(response("a")) is None
    ended = asked.answer(response("b"))
    assert ended is not None
    assert (ended.number, ended.result.acks, ended.result.responses) == (number, ("a",), {"a": b"a", "b": b"b"})
    assert len(asked) == 0


def test_what_relays_bring_twice_counts_once() -> None:
    asked = Asked()
    asked.begin(query(), 10.0, 3)
    for flags in (0, FLAG_ACK):
        for _ in range(2):
            asked.answer(response("a", flags=flags))
    (ended,) = asked.expire(10.0)
    assert (ended.result.acks, ended.result.responses) == (("a",), {"a": b"a"})
    assert asked.counts["serf.query_duplicate_responses"] == asked.counts["serf.query_duplicate_acks"] == 1


def test_answers_to_others_and_late_ones_are_counted_and_dropped() -> None:
    asked = Asked()
    asked.begin(query(), 1.0, 1)
    assert asked.answer(response("a", id=78)) is None
    assert asked.answer(response("a", ltime=2)) is None
    assert [type(end) for end in asked.expire(1.0)] == [QueryEnded]
    assert asked.answer(response("a")) is None
    assert asked.counts["serf.query_unknown"] == 3


def test_a_filtered_query_waits_for_its_time() -> None:
    """Nobody knows how many the filters let through."""
    asked = Asked()
    asked.begin(query(filters=(b"x",)), 5.0, 1)
    assert asked.answer(response("a")) is None
    assert asked.next_deadline() == 5.0
    assert asked.expire(4.9) == []
    assert len(asked.expire(5.0)) == 1
    assert asked.next_deadline() is None


def test_queries_at_once_do_not_meet() -> None:
    asked = Asked()
    first, second = asked.begin(query(1), 5.0, 1), asked.begin(query(2), 6.0, 1)
    ended = asked.answer(response("a", ltime=2))
    assert ended is not None
    assert ended.number == second != first
    assert asked.next_deadline() == 5.0

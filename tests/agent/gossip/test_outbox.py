from meshagent.agent.gossip.outbox import Outbox


def test_intents_then_queries_then_events() -> None:
    outbox = Outbox(4)
    outbox.events.add(b"event")
    outbox.queries.add(b"query")
    outbox.intents.add(b"intent")
    assert outbox.take(1, 100, lambda: 9) == [b"intent", b"query", b"event"]
    assert outbox.take(1, 13, lambda: 9) == [b"intent", b"query"]
    assert len(outbox) == 3


def test_an_empty_one_does_not_even_count() -> None:
    def count() -> int:
        raise AssertionError

    assert Outbox(4).take(1, 100, count) == []


def test_each_queue_is_bounded() -> None:
    outbox = Outbox(4)
    for number in range(5):
        outbox.events.add(bytes([number]))
        outbox.intents.add(bytes([number]))
    assert outbox.prune(3) == 4
    assert len(outbox) == 6

from meshagent.agent.gossip.intents import MAX_INTENTS, Intents
from meshagent.agent.gossip.serf_messages import Join, Leave


def test_the_newest_intent_counts() -> None:
    intents = Intents()
    assert intents.add(Join(3, "a"), 0.0)
    assert intents.add(Leave(5, "a", True), 1.0)
    assert not intents.add(Join(5, "a"), 2.0)
    assert not intents.add(Join(4, "a"), 2.0)
    assert intents.newest("a") == Leave(5, "a", True)
    assert intents.newest("b") is None


def test_they_are_forgotten() -> None:
    intents = Intents()
    intents.add(Join(1, "a"), 0.0)
    intents.add(Join(1, "b"), 200.0)
    intents.reap(300.5, 300.0)
    assert intents.newest("a") is None
    assert len(intents) == 1


def test_they_are_bounded_and_the_oldest_goes() -> None:
    intents = Intents()
    for number in range(MAX_INTENTS + 1):
        intents.add(Join(1, str(number)), 0.0)
    assert len(intents) == MAX_INTENTS
    assert intents.newest("0") is None
    assert intents.newest(str(MAX_INTENTS)) is not None

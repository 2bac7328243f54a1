import pytest

from meshagent.agent.gossip.serf_codec import decode
from meshagent.agent.gossip.serf_messages import Event, EventsAt
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.user_events import UserEvents
from meshagent.errors import InternalError


def test_events_of_ours_follow_each_other_and_those_of_others() -> None:
    events = UserEvents(SerfSettings())
    event, data = events.made("deploy", b"x", coalesce=True)
    assert event == decode(data) == Event(1, "deploy", b"x", True)
    assert events.take(Event(40, "other"))
    assert events.made("next", None)[0].ltime == 41


def test_each_is_news_once_and_handed_on() -> None:
    events = UserEvents(SerfSettings())
    assert events.take(Event(3, "a", b"x"))
    assert not events.take(Event(3, "a", b"x", True))
    assert events.take(Event(3, "a", None))
    assert events.remembered() == (EventsAt(3, (("a", b"x"), ("a", None))),)
    assert events.counts["serf.events"] == 2


def test_what_was_before_our_time_is_none_of_ours() -> None:
    events = UserEvents(SerfSettings(least_event_time=3))
    assert not events.take(Event(2, "a"))
    events.ignore_before(9)
    events.ignore_before(5)
    assert not events.take(Event(8, "a"))
    assert events.take(Event(9, "a"))


def test_a_refused_event_takes_no_time() -> None:
    events = UserEvents(SerfSettings(user_event_bytes=100))
    for size, words in ((100, "before encoding"), (99, "after encoding")):
        with pytest.raises(InternalError, match=f"exceeds configured limit of 100 bytes {words}"):
            events.made("e", b"x" * size)
    assert events.clock.time == 1

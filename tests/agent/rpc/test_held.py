from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.rpc.delta import digest
from meshagent.agent.rpc.held import Held, Holdings
from meshagent.agent.rpc.messages import Change, Failure, Question, Standing, Unchanged, Unwatch, WatchBatch
from meshagent.errors import BadRequest, RemoteProtocolError

WEB, DB = Question("service", "web"), Question("service", "db")


class Desk:
    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.holdings = Holdings(self.standings.append)
        self.sent: list[Any] = []

    def attach(self, *, current: bool = True) -> None:
        self.sent = []
        self.holdings.attach(b"feed", self.sent.append)
        if current:
            self.holdings.current()

    def follow(self, question: Question = WEB) -> Held:
        return self.holdings.follow(question)

    def say(self, held: Held, *said: Any) -> None:
        self.holdings.handle([(held.sub, one) for one in said])


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_followed_is_watched_now_or_when_there_is_a_feed(desk: Desk) -> None:
    web = desk.follow()
    desk.attach()
    db = desk.follow(DB)
    assert desk.follow() is web
    assert [watch.question for batch in desk.sent for watch in batch.watches] == [WEB, DB]
    assert web.sub != db.sub
    assert not web.loaded
    desk.holdings.drop(web)
    desk.holdings.drop(web)
    assert desk.sent[-1] == Unwatch(b"feed", (web.sub,))
    assert list(desk.holdings) == [db]


def test_answers_and_differences(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    told: list[bytes] = []
    held.listeners[lambda: told.append(held.body)] = None
    desk.say(held, Change(1, 0, 5, 200, "application/json", (("A", "b"),), body=b"[a,b]"))
    assert (held.loaded, held.index, held.content_type, held.headers) == (True, 5, "application/json", (("A", "b"),))
    desk.say(held, Change(2, 1, 6, prefix=3, suffix=1, body=b"xyz"))
    assert told == [b"[a,b]", b"[a,xyz]"]
    desk.say(held, Unchanged(2, 7))
    assert held.index == 7
    assert len(told) == 3
    desk.say(held, Unchanged(2, 7))
    assert len(told) == 3


def test_a_difference_to_another_body_is_refused(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    desk.say(held, Change(1, 0, 5, body=b"abc"))
    for bad in (Change(4, 3, 6, body=b"x"), Change(2, 1, 6, prefix=9, body=b"x")):
        with pytest.raises(RemoteProtocolError):
            desk.say(held, bad)
    assert held.body == b"abc"


def test_a_new_server_is_told_what_is_held(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    desk.say(held, Change(1, 0, 5, body=b"abc"))
    desk.holdings.detach()
    assert desk.follow(DB)
    desk.attach()
    (batch,) = desk.sent
    assert isinstance(batch, WatchBatch)
    assert [(w.index, w.digest) for w in batch.watches] == [(5, digest(b"abc")), (0, b"")]
    desk.say(held, Unchanged(77, 5))
    desk.say(held, Change(78, 77, 6, prefix=1, suffix=1, body=b"X"))
    assert held.body == b"aXc"


def test_it_does_not_go_back_in_time_until_the_server_is_current(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    desk.say(held, Change(1, 0, 9, body=b"new"))
    desk.holdings.detach()
    desk.attach(current=False)
    desk.say(held, Change(5, 0, 7, body=b"old"))
    assert (held.body, held.index) == (b"new", 9)
    desk.say(held, Change(6, 5, 8, prefix=1, body=b"ne"))  # it catches up, with differences to what is put aside
    assert held.body == b"new"
    desk.say(held, Change(7, 6, 10, prefix=3, body=b"!"))
    assert (held.body, held.index) == (b"one!", 10)


def test_what_was_put_aside_counts_once_the_server_is_current(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    desk.say(held, Change(1, 0, 9, body=b"new"))
    desk.holdings.detach()
    desk.attach(current=False)
    desk.say(held, Change(5, 0, 7, body=b"restored"), Unchanged(5, 8))
    assert held.body == b"new"
    desk.holdings.current()  # the cluster was restored from an old snapshot
    assert (held.body, held.index) == (b"restored", 8)


def test_refusals(desk: Desk) -> None:
    desk.attach()
    held = desk.follow()
    desk.say(held, Failure(2, "bad filter"))
    assert held.loaded
    assert isinstance(held.error, BadRequest)
    desk.say(held, Change(3, 0, 5, body=b"x"))
    assert held.error is None
    desk.say(held, Failure(9, "busy"))  # retryable: what is held stays
    assert held.error is None
    assert held.body == b"x"


def test_the_standing_and_what_is_not_followed_any_more(desk: Desk) -> None:
    desk.attach()
    desk.holdings.handle([(0, Standing("a:1", 3)), (99, Unchanged(1, 2))])
    assert desk.standings == [Standing("a:1", 3)]


def test_many_are_watched_in_batches(desk: Desk) -> None:
    for number in range(600):
        desk.follow(Question("service", str(number)))
    desk.attach()
    assert [len(batch.watches) for batch in desk.sent] == [512, 88]
    assert len(desk.holdings) == 600
    assert desk.holdings.get(WEB) is None

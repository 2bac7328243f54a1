from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import instance

from meshagent.agent.rpc import feed as feed_module
from meshagent.agent.rpc.feed import Feed
from meshagent.agent.rpc.messages import Change, Question, Standing, Unchanged, Watch, decode_piece
from meshagent.agent.rpc.shared import RowSource, Shared
from meshagent.catalog.store import Store
from meshagent.errors import TooLarge


class Desk:
    """A feed over one store."""

    def __init__(self) -> None:
        self.store = Store()
        self.woken = 0
        self.shared: dict[Question, Shared] = {}
        self.feed = Feed(self.share, self.drop, self.wake)

    def share(self, watch: Watch) -> tuple[Any, Shared]:
        question = watch.question
        if question not in self.shared:
            self.shared[question] = Shared(RowSource(self.store, question.kind, question.target, "me", "dc1"))
        return question, self.shared[question]

    def drop(self, key: Any, follower: Any) -> None:
        if not self.shared[key].followers:
            self.shared.pop(key).close()

    def wake(self) -> None:
        self.woken += 1

    def change(self, service: str, **more: Any) -> None:
        self.store.execute(instance("n", service, **more))
        self.store.flush()

    def said(self) -> list[tuple[int, Any]]:
        return decode_piece(self.feed.piece())


def watch(sub: int, name: str, **more: Any) -> Watch:
    return Watch(sub, Question("service", name), **more)


def test_a_watch_is_answered_and_then_told_of_changes() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    assert desk.woken
    assert desk.feed.pending
    ((sub, first),) = desk.said()
    assert sub == 1
    assert isinstance(first, Change)
    assert not desk.feed.pending
    desk.change("db")
    assert not desk.feed.pending
    desk.change("web")
    assert desk.feed.pending
    assert [sub for sub, _ in desk.said()] == [1]


def test_a_slow_client_gets_the_newest_only() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    desk.said()
    for number in range(10):
        desk.change("web", number=number)
    assert len(desk.said()) == 1
    assert not desk.feed.pending


def test_a_change_that_was_undone_before_it_was_told_says_the_index_only() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    ((_, first),) = desk.said()
    desk.feed.watch(watch(2, "web"))
    ((sub, second),) = desk.said()
    assert (sub, second) == (2, first)


def test_what_is_not_watched_any_more_is_dropped() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    desk.feed.watch(watch(2, "db"))
    desk.feed.unwatch((1, 99))
    assert [sub for sub, _ in desk.said()] == [2]
    assert list(desk.shared) == [Question("service", "db")]
    desk.feed.close()
    assert not desk.shared
    assert len(desk.feed) == 0
    assert not desk.store.watches


def test_a_number_used_again_is_another_watch() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    desk.feed.watch(watch(1, "db"))
    assert list(desk.shared) == [Question("service", "db")]


def test_the_standing_goes_first() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    desk.feed.tell(Standing("a:1", 0))
    assert [sub for sub, _ in desk.said()] == [0, 1]


def test_a_piece_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PIECE_BYTES", 10)
    desk = Desk()
    for sub in (1, 2):
        desk.feed.watch(watch(sub, "web"))
    assert [sub for sub, _ in desk.said()] == [1]
    assert [sub for sub, _ in desk.said()] == [2]


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_WATCHES", 1)
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    with pytest.raises(TooLarge):
        desk.feed.watch(watch(2, "web"))


def test_what_moves_without_notice_is_looked_at() -> None:
    desk = Desk()
    desk.feed.watch(watch(1, "web"))
    desk.said()
    source = desk.shared[Question("service", "web")]._source
    source.moving = True  # type: ignore[misc]
    desk.feed.look()
    assert not desk.feed.pending
    source.index += 1  # type: ignore[misc]
    desk.feed.look()
    ((_, said),) = desk.said()
    assert isinstance(said, Unchanged)

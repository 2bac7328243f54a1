"""Who is to be woken when something in the catalog changes.

A topic names one thing a read can depend on: `("service", "web")`, `("kv", "a/b")`, `"nodes"`. The store calls
`notify(topic)` while it applies a command and `flush()` once the batch is applied; a subscription whose topic was
named is called exactly once, then it is gone. Granularity is Consul's: a change in service `a` wakes no reader of `b`.

KV prefixes are matched here: subscribing to `("kv-prefix", "a/")` is woken by every changed key that starts so.
Everything is O(1) in the number of subscriptions to other topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["Subscription", "Topic", "Watches"]

Topic = str | tuple[str, str]


class Subscription:
    """One wake-up call; `cancel` makes it never come."""

    __slots__ = ("_callback", "_topics", "_watches")

    def __init__(self, watches: Watches, topics: tuple[Topic, ...], callback: Callable[[], None]) -> None:
        self._watches = watches
        self._topics = topics
        self._callback: Callable[[], None] | None = callback

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Forget this subscription. Harmless when it has fired."""
        if self._callback is not None:
            self._callback = None
            self._watches._remove(self, self._topics)

    def _fire(self) -> None:
        callback = self._callback
        if callback is not None:
            self._callback = None
            self._watches._remove(self, self._topics)
            callback()


class Watches:
    """All subscriptions of one store."""

    def __init__(self) -> None:
        self._by_topic: dict[Topic, set[Subscription]] = {}
        self._prefix_lengths: dict[int, int] = {}
        self._woken: dict[Subscription, None] = {}
        self._before: dict[Subscription, None] | None = None

    def subscribe(self, topics: Iterable[Topic], callback: Callable[[], None]) -> Subscription:
        """Call `callback` once, at the first flush after any of `topics` was notified."""
        subscription = Subscription(self, tuple(dict.fromkeys(topics)), callback)
        for topic in subscription._topics:
            holders = self._by_topic.get(topic)
            if holders is None:
                holders = self._by_topic[topic] = set()
                if topic[0] == "kv-prefix":
                    length = len(topic[1])
                    self._prefix_lengths[length] = self._prefix_lengths.get(length, 0) + 1
            holders.add(subscription)
        return subscription

    def notify(self, topic: Topic) -> None:
        """Something that `topic` names has changed."""
        holders = self._by_topic.get(topic)
        if holders is not None:
            self._woken.update(dict.fromkeys(holders))

    def notify_key(self, key: str) -> None:
        """The KV entry `key` was written or deleted."""
        holders = self._by_topic.get(("kv", key))
        if holders is not None:
            self._woken.update(dict.fromkeys(holders))
        for length in self._prefix_lengths:
            if length <= len(key):
                self.notify(("kv-prefix", key[:length]))

    def notify_all(self) -> None:
        """Everything may have changed: a snapshot was restored."""
        for holders in self._by_topic.values():
            self._woken.update(dict.fromkeys(holders))

    def begin(self) -> None:
        """A transaction starts: who it would wake is remembered apart."""
        self._before, self._woken = self._woken, {}

    def commit(self) -> None:
        """The transaction holds: who it wakes is woken at the next flush."""
        if self._before is not None:
            self._woken = {**self._before, **self._woken} if self._before else self._woken
            self._before = None

    def rollback(self) -> None:
        """The transaction did not happen: it wakes nobody."""
        if self._before is not None:
            self._woken, self._before = self._before, None

    def flush(self) -> None:
        """Make the calls that are due. A callback may subscribe again; that one waits for the next change."""
        while self._woken:
            woken, self._woken = self._woken, {}
            for subscription in woken:
                subscription._fire()

    def __len__(self) -> int:
        """How many topics are watched."""
        return len(self._by_topic)

    def _remove(self, subscription: Subscription, topics: tuple[Topic, ...]) -> None:
        for topic in topics:
            holders = self._by_topic.get(topic)
            if holders is None:
                continue
            holders.discard(subscription)
            if not holders:
                del self._by_topic[topic]
                if topic[0] == "kv-prefix":
                    length = len(topic[1])
                    if self._prefix_lengths[length] == 1:
                        del self._prefix_lengths[length]
                    else:
                        self._prefix_lengths[length] -= 1

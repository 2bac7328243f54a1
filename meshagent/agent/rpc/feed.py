"""The feed of one connection on a server: what its client follows, and what it has not been told yet.

A change marks a watch; what is marked leaves as soon as the connection takes it. A client that is slow gets the newest
answer, not every one between. No I/O.

What may be changed: sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from meshagent.agent.rpc.messages import MAX_WATCHES, Standing, Watch, encode
from meshagent.agent.rpc.shared import Shared
from meshagent.errors import TooLarge

__all__ = ["Feed"]

#: A piece ends behind the change that fills it: others share the connection.
PIECE_BYTES = 256 * 1024


class _Followed:
    """One watch: what is followed, the state that was sent, the digest of what the client brought with it."""

    __slots__ = ("follower", "held", "key", "sent", "shared")

    def __init__(self, key: Any, shared: Shared, held: bytes, follower: Callable[[], None]) -> None:
        self.key = key
        self.shared = shared
        self.held = held
        self.sent = (0, 0)
        self.follower = follower


class Feed:
    """`wake` is called when there is something to send. `share(watch)` gives what is followed, under a key for `drop`.

    Both ends agree on a name for it (`messages.WatchBatch.feed`).
    """

    def __init__(
        self,
        share: Callable[[Watch], tuple[Any, Shared]],
        drop: Callable[[Any, Callable[[], None]], None],
        wake: Callable[[], None],
    ) -> None:
        self._share = share
        self._drop = drop
        self._wake = wake
        self._watches: dict[int, _Followed] = {}
        self._marked: dict[int, None] = {}
        self._standing: Standing | None = None

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def pending(self) -> bool:
        """Whether there is something to send."""
        return bool(self._marked) or self._standing is not None

    def watch(self, watch: Watch) -> None:
        """Follow a question. Raises TooLarge: the client follows too many."""
        if watch.sub in self._watches:
            self.unwatch((watch.sub,))
        if len(self._watches) >= MAX_WATCHES:
            raise TooLarge(f"an agent follows at most {MAX_WATCHES} questions")
        sub = watch.sub

        def follower() -> None:
            self._mark(sub)

        key, shared = self._share(watch)
        shared.followers[follower] = None
        self._watches[sub] = _Followed(key, shared, watch.digest, follower)
        self._mark(sub)

    def unwatch(self, subs: Iterable[int]) -> None:
        """Follow these no longer."""
        for sub in subs:
            followed = self._watches.pop(sub, None)
            self._marked.pop(sub, None)
            if followed is not None:
                followed.shared.followers.pop(followed.follower, None)
                self._drop(followed.key, followed.follower)

    def tell(self, standing: Standing) -> None:
        """The server's standing has changed."""
        self._standing = standing
        self._wake()

    def look(self) -> None:
        """Mark what has moved without notice: the client asks for all there is."""
        for sub, followed in self._watches.items():
            if followed.shared.moving and followed.shared.state != followed.sent:
                self._mark(sub)

    def piece(self) -> bytes:
        """What to send next; there must be something."""
        said: list[tuple[int, Any]] = []
        size = 0
        if self._standing is not None:
            said.append((0, self._standing))
            self._standing = None
        while self._marked and size < PIECE_BYTES:
            sub = next(iter(self._marked))
            del self._marked[sub]
            followed = self._watches[sub]
            shared = followed.shared
            state = shared.state
            if state == followed.sent:
                continue
            tail = shared.since(followed.sent, followed.held)
            followed.sent = state
            followed.held = b""
            said.append((sub, tail))
            size += len(memoryview(tail))
        return encode(said)

    def close(self) -> None:
        """The connection has gone."""
        self.unwatch(list(self._watches))

    def _mark(self, sub: int) -> None:
        self._marked[sub] = None
        self._wake()

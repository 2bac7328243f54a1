"""What a client agent follows, and the answers it holds: one for each question, whoever asks on this host.

`Holdings` speaks to whatever feed it is attached to: it says what to watch (with what it holds already, so that a new
server need not send it again) and takes what comes. Until the new server has confirmed that it is current, what is
older than the held answer is put aside: a client does not go back in time when it moves to a server that lags.

Source: README.md beside this file. No I/O.

What may be changed: nothing a watcher could tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from meshagent.agent.rpc.delta import apply, digest
from meshagent.agent.rpc.messages import (
    MAX_BATCH,
    Change,
    Failure,
    Piece,
    Question,
    Standing,
    Unchanged,
    Unwatch,
    Watch,
    WatchBatch,
)
from meshagent.catalog.rpc.error_codes import error_of
from meshagent.errors import MeshError, RemoteProtocolError

__all__ = ["Held", "Holdings"]


class Held:
    """One question and its present answer. `error` instead of an answer when the servers refuse it.

    `loaded` says whether there is either. Listeners are called after each change.
    """

    __slots__ = (
        "aside",
        "bare",
        "body",
        "content_type",
        "error",
        "headers",
        "index",
        "listeners",
        "loaded",
        "question",
        "status",
        "sub",
        "version",
    )

    def __init__(self, sub: int, question: Question) -> None:
        self.sub = sub
        self.question = question
        self.loaded = False
        self.error: MeshError | None = None
        self.index = 0
        self.status = 200
        self.content_type: str | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = b""
        self.bare = False
        #: The number that the present server has given to the body; 0: none of it.
        self.version = 0
        #: An answer of a server that may lag, older than ours.
        self.aside: Change | None = None
        self.listeners: dict[Callable[[], None], None] = {}

    def changed(self) -> None:
        """Tell the listeners."""
        for listener in list(self.listeners):
            listener()


class Holdings:
    """All that one client agent holds. `send(message)` gives the present feed a `WatchBatch` or an `Unwatch`."""

    def __init__(self, on_standing: Callable[[Standing], None] = lambda standing: None) -> None:
        self.on_standing = on_standing
        self._held: dict[Question, Held] = {}
        self._by_sub: dict[int, Held] = {}
        self._last_sub = 0
        self._feed = b""
        self._send: Callable[[WatchBatch | Unwatch], None] | None = None
        self._current = False

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, question: Question) -> Held | None:
        """What is held of a question."""
        return self._held.get(question)

    def follow(self, question: Question) -> Held:
        """Hold a question from now on; its answer comes later, or is there."""
        held = self._held.get(question)
        if held is None:
            self._last_sub += 1
            held = self._held[question] = self._by_sub[self._last_sub] = Held(self._last_sub, question)
            self._watch([held])
        return held

    def drop(self, held: Held) -> None:
        """Hold it no longer."""
        if self._held.pop(held.question, None) is None:
            return
        del self._by_sub[held.sub]
        if self._send is not None:
            self._send(Unwatch(self._feed, (held.sub,)))

    # --- the feed ----------------------------------------------------------------------------------------------

    def attach(self, feed: bytes, send: Callable[[WatchBatch | Unwatch], None]) -> None:
        """There is a new feed, named `feed`: ask it for everything that is held."""
        self._feed = feed
        self._send = send
        self._current = False
        for held in self._held.values():
            held.version = 0
            held.aside = None
        self._watch(list(self._held.values()))

    def detach(self) -> None:
        """There is no feed: what is held stays as it is."""
        self._send = None
        self._current = False

    def current(self) -> None:
        """The feed has said all that the leader had after it was attached: what it says is never older than ours."""
        if self._current:
            return
        self._current = True
        for held in list(self._held.values()):
            if held.aside is not None:
                aside, held.aside = held.aside, None
                self._take(held, aside.index, aside)

    def handle(self, piece: Piece) -> None:
        """Take what the feed says.

        Raises:
            RemoteProtocolError: it does not fit what was said before; the feed is to be given up.
        """
        for sub, said in piece:
            if isinstance(said, Standing):
                self.on_standing(said)
                continue
            held = self._by_sub.get(sub)
            if held is None:
                continue  # dropped while this was on its way
            if isinstance(said, Failure):
                self._refused(held, said)
            elif isinstance(said, Unchanged):
                self._unchanged(held, said)
            else:
                self._changed(held, said)

    def _refused(self, held: Held, said: Failure) -> None:
        error = error_of(said.code, said.message)
        if held.loaded and held.error is None and error.retryable:
            return
        held.loaded = True
        held.error = error
        held.version = 0
        held.changed()

    def _unchanged(self, held: Held, said: Unchanged) -> None:
        if held.aside is not None and held.aside.version == said.version:
            held.aside = msgspec.structs.replace(held.aside, index=said.index)
            return
        held.version = said.version
        held.aside = None
        moved = said.index != held.index
        if moved and (self._current or said.index > held.index):
            held.index = said.index
            held.changed()

    def _changed(self, held: Held, said: Change) -> None:
        if said.base:
            old = held.body if held.aside is None else held.aside.body
            if said.base != held.version:
                raise RemoteProtocolError(f"a change of body {said.base} came for body {held.version}")
            said = Change(
                said.version,
                0,
                said.index,
                said.status,
                said.content_type,
                said.headers,
                body=apply(old, said.prefix, said.suffix, said.body),
                bare=said.bare,
            )
        held.version = said.version
        if held.loaded and held.error is None and not self._current and said.index < held.index:
            held.aside = said
            return
        held.aside = None
        self._take(held, said.index, said)

    def _take(self, held: Held, index: int, said: Change) -> None:
        held.loaded = True
        held.error = None
        held.index = index
        held.status = said.status
        held.content_type = said.content_type
        held.headers = said.headers
        held.body = said.body
        held.bare = said.bare
        held.changed()

    def _watch(self, many: Iterable[Held]) -> None:
        send = self._send
        if send is None:
            return
        batch: list[Watch] = []
        for held in many:
            answered = held.loaded and held.error is None
            batch.append(Watch(held.sub, held.question, held.index, digest(held.body) if answered else b""))
            if len(batch) >= MAX_BATCH:
                send(WatchBatch(self._feed, tuple(batch)))
                batch = []
        if batch:
            send(WatchBatch(self._feed, tuple(batch)))

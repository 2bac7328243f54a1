"""A question that is followed: its present answer, once for all who follow it, and what to send to each of them.

`Shared` keeps the last two bodies, so that whoever has the one before gets the difference, encoded once however many
they are. Its source is an HTTP view (`http/views.py`) or the rows of a question (`RowSource`). No I/O.

What may be changed: how many bodies are kept for differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from meshagent.agent.acl.access import Access
from meshagent.agent.rpc.delta import digest, same_ends
from meshagent.agent.rpc.messages import Change, Failure, Unchanged, encode
from meshagent.agent.rpc.questions import QUESTIONS, encode_rows
from meshagent.catalog.rpc.error_codes import code_and_message
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Subscription
from meshagent.errors import MeshError, NotFound

__all__ = ["Answer", "Refused", "RowSource", "Shared"]

#: What can change what a token may see.
ACL_TOPICS = ("acl-tokens", "acl-policies", "acl-roles")
#: A difference is sent when it saves at least this part of the body.
_WORTH = 4


class Answer(Protocol):
    """What a source has after `refresh`: `http.views.View` is one."""

    version: int
    status: int
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    bare: bool
    on_change: Callable[[], None] | None

    @property
    def index(self) -> int: ...
    @property
    def moving(self) -> bool: ...
    def refresh(self) -> None: ...
    def close(self) -> None: ...


class RowSource:
    """The rows of one question of `questions.py`, as bytes. Raises NotFound for a kind that is not known."""

    def __init__(
        self, store: Store, kind: str, name: str, asker: str, datacenter: str, sees: Callable[[], Access] | None = None
    ) -> None:
        found = QUESTIONS.get(kind)
        if found is None:
            raise NotFound(f"this server knows no question of kind {kind[:64]!r}")
        self.version = 0
        self.status = 200
        self.content_type: str | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = b""
        self.bare = False
        self.index = 0
        self.moving = False
        self.on_change: Callable[[], None] | None = None
        self._store = store
        self._read = found.read
        self._visible = found.visible
        #: What the asker's token may see; raises Denied.
        self._sees = sees
        self._asked = (name, asker, datacenter)
        self._fresh = False
        self._subscription: Subscription | None = None

    def refresh(self) -> None:
        """Read again if something changed."""
        if self._fresh:
            return
        value, topics = self._read(self._store, *self._asked)
        if self._sees is not None and self._visible is not None:
            access = self._sees()
            topics = (*topics, *ACL_TOPICS)
            if not access.sees_all:
                value = self._visible(value, access)
        self.body = encode_rows(value)
        self.index = self._store.index
        self._subscription = self._store.watches.subscribe(topics, self._changed)
        self._fresh = True
        self.version += 1

    def close(self) -> None:
        """Follow no longer."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None

    def _changed(self) -> None:
        self._fresh = False
        self._subscription = None
        if self.on_change is not None:
            self.on_change()


class Refused:
    """A question that cannot be followed: its answer is why."""

    def __init__(self, error: MeshError) -> None:
        self.version = 0
        self.status = error.http_status
        self.content_type: str | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = b""
        self.bare = False
        self.index = 0
        self.moving = False
        self.on_change: Callable[[], None] | None = None
        self._error = error

    def refresh(self) -> None:
        """Raises the error."""
        raise self._error

    def close(self) -> None:
        """There is nothing to close."""


class Shared:
    """One followed question. Followers are called, without more, when its answer may have changed."""

    def __init__(self, source: Answer) -> None:
        self.followers: dict[Callable[[], None], None] = {}
        self._source = source
        self._failure: bytes | None = None
        self._failed = 0
        self._body = b""
        self._version = 0
        self._before = b""
        self._digest = b""
        self._tails: dict[int, msgspec.Raw] = {}
        self._index = 0
        source.on_change = self._changed

    @property
    def moving(self) -> bool:
        """Whether its index moves without notice."""
        return self._source.moving

    @property
    def state(self) -> tuple[int, int]:
        """(version, index) of the answer of now: what a follower has been sent when it has been sent this.

        A refused question has negative versions.
        """
        self._refresh()
        return (self._version, self._index) if self._failure is None else (-self._failed, 0)

    def since(self, sent: tuple[int, int], held: bytes = b"") -> msgspec.Raw:
        """What to send to a follower that was sent state `sent` last ((0, 0): nothing), encoded.

        `held`: digest of a body that it has from elsewhere.
        """
        self._refresh()
        if self._failure is not None:
            return msgspec.Raw(self._failure)
        if held and held == self._held():
            return msgspec.Raw(encode(Unchanged(self._version, self._index)))
        base = sent[0] if sent[0] in {self._version, self._version - 1} and sent[0] > 0 else 0
        tail = self._tails.get(base)
        if tail is None:
            tail = self._tails[base] = msgspec.Raw(encode(self._change(base)))
        return tail

    def close(self) -> None:
        """Nobody follows any more."""
        self._source.on_change = None
        self._source.close()

    def _held(self) -> bytes:
        if not self._digest:
            self._digest = digest(self._body)
        return self._digest

    def _change(self, base: int) -> Change | Unchanged:
        source = self._source
        if base == self._version:
            return Unchanged(self._version, self._index)
        prefix = suffix = 0
        if base:
            prefix, suffix = same_ends(self._before, self._body)
            if (prefix + suffix) * _WORTH < len(self._body):
                base = prefix = suffix = 0
        middle = self._body[prefix : len(self._body) - suffix]
        return Change(
            self._version,
            base,
            self._index,
            source.status,
            source.content_type,
            source.headers,
            prefix,
            suffix,
            middle,
            source.bare,
        )

    def _refresh(self) -> None:
        source = self._source
        try:
            source.refresh()
        except MeshError as error:
            if self._failure is None:
                self._failed += 1
            self._failure = encode(Failure(*code_and_message(error)))
            return
        self._failure = None
        if source.version != self._version:
            self._before = self._body if source.version == self._version + 1 else b""
            self._body = source.body
            self._version = source.version
            self._digest = b""
            self._tails.clear()
        if source.index != self._index:
            self._index = source.index
            self._tails.clear()

    def _changed(self) -> None:
        for follower in list(self.followers):
            follower()

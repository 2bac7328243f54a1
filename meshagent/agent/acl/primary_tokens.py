"""I/O edge: tokens of the primary at a server of a secondary datacenter that copies none.

They are asked for when they are used, and kept for `acl.token_ttl`. Policies and roles are copied anyway, so a token is
all that is asked; what it grants is looked up here.

While the primary cannot be asked `acl.down_policy` decides about tokens that were known: `extend-cache` goes on with
them, `async-cache` uses what is held at once and asks behind it, `deny` refuses; `allow` lets in whoever has one, known
or not. Local tokens of the primary mean nothing here. That a token does not exist is kept, too, so that a made-up one
costs one question.

Source: surface rows G17, L28, L30. What may change here: bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.acl.resolver import Identity
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.model import Token, secret_digest
from meshagent.clock import Clock, Tasks
from meshagent.errors import Denied, MeshError

__all__ = ["PrimaryTokens"]

MAX_HELD = 16_384


@dataclass(frozen=True, slots=True)
class _Held:
    """`token` None: the primary knows none, or a local one."""

    token: Token | None
    asked_at: float


class PrimaryTokens:
    """`ask` gives the token of a secret as the primary knows it, None for none. Raises MeshError: it cannot be asked.
    `changed` is told the digest of a secret whose token is another now.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Token | None]],
        clock: Clock,
        tasks: Tasks,
        *,
        down_policy: str,
        ttl_s: float,
        changed: Callable[[bytes], None],
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._tasks = tasks
        self._down_policy = down_policy
        self._ttl_s = ttl_s
        self._changed = changed
        self._held: dict[bytes, _Held] = {}
        self._asking: dict[bytes, asyncio.Task[None]] = {}

    def held(self, secret: str, digest: bytes) -> Token | None:
        """The token if it is known; if nothing is, it is asked for behind this."""
        found = self._held.get(digest)
        if found is None:
            self._start(secret, digest)
        return found.token if found is not None else None

    def knows(self, secret: str) -> bool:
        """Whether there is an answer for this secret, of whatever age."""
        return secret_digest(secret) in self._held

    async def learn(self, secret: str) -> Identity | None:
        """Have what is held be fresh enough. None: look at `held`; an identity: what `down_policy` grants meanwhile.

        Raises:
            Denied: the primary knows no such token.
        """
        digest = secret_digest(secret)
        found = self._held.get(digest)
        if found is not None and self._clock.monotonic() - found.asked_at < self._ttl_s:
            _require(found)
            return None
        asking = self._start(secret, digest)
        if found is not None and self._down_policy == "async-cache":
            _require(found)
            return None
        await asyncio.wait([asking])
        fresh = self._held.get(digest)
        if fresh is not None and (fresh is not found or self._down_policy == "extend-cache"):
            _require(fresh)
            return None
        if self._down_policy == "allow":
            return Identity(Access(Authorizer(manages=True)), ())
        return Identity(Access(Authorizer()), ())

    def _start(self, secret: str, digest: bytes) -> asyncio.Task[None]:
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = self._tasks.start(self._fetch(secret, digest), name="token of the primary")
        return task

    async def _fetch(self, secret: str, digest: bytes) -> None:
        try:
            token = await self._ask(secret)
        except Denied:
            token = None
        except MeshError:
            return  # what is held stays
        finally:
            self._asking.pop(digest, None)
        if token is not None and token.local:
            token = None
        before = self._held.pop(digest, None)
        if before is None and len(self._held) >= MAX_HELD:
            self._forget(next(iter(self._held)))
        self._held[digest] = _Held(token, self._clock.monotonic())
        if before is None or before.token != token:
            self._changed(digest)

    def _forget(self, digest: bytes) -> None:
        if self._held.pop(digest).token is not None:
            self._changed(digest)


def _require(found: _Held) -> None:
    """Raises Denied: it is known that there is none."""
    if found.token is None:
        raise not_found()

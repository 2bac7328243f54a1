"""I/O edge: the leaf certificates of this agent: made when first asked for, kept, renewed while they are used.

Private keys are made here and stay in the memory of this process (and of who asks over the API); only requests go to
the servers. A leaf that nobody has asked for in three days is forgotten.

Source: surface rows A28, M62, M63. What may change here: how a request reaches a server is `sign`, given from outside.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from meshagent.clock import Clock, Tasks
from meshagent.connect import spiffe
from meshagent.connect.ca import SignedLeaf
from meshagent.connect.leaf import Renewal, health
from meshagent.connect.signing_limit import TooManyRequests
from meshagent.errors import MeshError, Unavailable

__all__ = ["Leaf", "LeafStore"]

log = logging.getLogger("agent.leaf-certs")

#: A leaf is forgotten so long after it was asked for last (surface row C19).
UNUSED = timedelta(days=3)
#: Leafs kept at most: every service of a host many times over.
MAX_LEAFS = 4096
#: The longest pause of the keeper; it is woken earlier when a root changes.
_STEP_S = 60.0

Sign = Callable[[bytes], Awaitable[SignedLeaf]]


@dataclass(frozen=True, slots=True, repr=False)
class Leaf:
    """A leaf with its private key (PEM, SEC1)."""

    signed: SignedLeaf
    key: str
    valid_after: datetime
    valid_before: datetime


@dataclass(slots=True)
class _Entry:
    leaf: Leaf | None = None
    #: DNS names that a leaf of it has, and those of the leaf that is here.
    wanted: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    renewal: Renewal | None = None
    used: datetime = field(default_factory=lambda: datetime.min)
    waiters: set[asyncio.Future[None]] = field(default_factory=set)
    #: The one request on its way; all who want a leaf wait for it.
    issuing: asyncio.Task[Leaf | MeshError] | None = None


class LeafStore:
    """Leafs by service."""

    def __init__(
        self,
        *,
        sign: Sign,
        authority: Callable[[], tuple[str, str]],
        datacenter: str,
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
    ) -> None:
        """`authority()` is (trust domain, id of the active root), both "" while they are unknown."""
        self._sign = sign
        self._authority = authority
        self._datacenter = datacenter
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._entries: dict[str, _Entry] = {}
        self._woken = asyncio.Event()
        #: Called with the service that has a new leaf.
        self.on_leaf: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return sum(entry.leaf is not None for entry in self._entries.values())

    def leafs(self) -> list[Leaf]:
        """All leafs, by service."""
        return [entry.leaf for _, entry in sorted(self._entries.items()) if entry.leaf is not None]

    def index_of(self, service: str) -> int:
        """The index of the leaf that is here, 0 without one."""
        entry = self._entries.get(service)
        return entry.leaf.signed.index if entry is not None and entry.leaf is not None else 0

    def names_of(self, service: str) -> tuple[str, ...]:
        """The DNS names that were asked for with the leaf that is here."""
        entry = self._entries.get(service)
        return entry.names if entry is not None else ()

    def held(self, service: str) -> Leaf | None:
        """The leaf that is here, good or not; asking counts as use."""
        entry = self._entries.get(service)
        if entry is None:
            return None
        entry.used = self._clock.now()
        return entry.leaf

    async def get(self, service: str, names: tuple[str, ...] | None = None) -> Leaf:
        """The leaf of a service. One that a former root signed, that has ended or has other DNS names is replaced
        first; without `names` they stay what they are.

        Raises:
            MeshError: none could be had, and none that is still good is here.
        """
        entry = self._entry(service)
        entry.wanted = entry.wanted if names is None else names
        leaf = entry.leaf
        now = self._clock.now()
        good = leaf is not None and leaf.signed.root_id == self._authority()[1] and now < leaf.valid_before
        if leaf is not None and good and entry.names == entry.wanted:
            return leaf
        try:
            return await self._issue(service, entry)
        except MeshError:
            if leaf is not None and now < leaf.valid_before:
                return leaf
            raise

    async def changed_from(self, service: str, index: int, timeout_s: float) -> Leaf:
        """The leaf of a service when its index is not `index` any more, or after `timeout_s` seconds.

        Raises:
            MeshError: there is no leaf and none could be had.
        """
        entry = self._entry(service)
        if entry.leaf is None:
            leaf = await self.get(service)
            if leaf.signed.index > index:
                return leaf
        elif entry.leaf.signed.index > index:
            return entry.leaf
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.waiters.add(waiter)
        timer = self._tasks.start(self._clock.sleep(timeout_s), name="leaf wait")
        timer.add_done_callback(lambda _: _release(waiter))
        self._woken.set()
        try:
            await waiter
        finally:
            timer.cancel()
            entry.waiters.discard(waiter)
            entry.used = self._clock.now()
        return entry.leaf if entry.leaf is not None else await self.get(service)

    def root_changed(self) -> None:
        """Another root is active: leafs that are watched are renewed within 30 seconds, others when asked for."""
        now = self._clock.now()
        root = self._authority()[1]
        for entry in self._entries.values():
            if entry.renewal is not None and entry.leaf is not None and entry.leaf.signed.root_id != root:
                entry.renewal.root_changed(now)
        self._woken.set()

    async def run(self) -> None:
        """Renew what is due, for ever."""
        while True:
            self._woken.clear()
            pause_s = self._step()
            timer = self._tasks.start(self._clock.sleep(pause_s), name="leaf renewal")
            timer.add_done_callback(lambda done: None if done.cancelled() else self._woken.set())
            try:
                await self._woken.wait()
            finally:
                timer.cancel()

    def worst(self) -> tuple[str, Leaf | None]:
        """(the worst health of all leafs, that leaf)."""
        now = self._clock.now()
        order = ("passing", "warning", "critical", "expired")
        worst: tuple[str, Leaf | None] = ("passing", None)
        for leaf in self.leafs():
            found = health(leaf.valid_after, leaf.valid_before, now)
            if order.index(found) > order.index(worst[0]):
                worst = (found, leaf)
        return worst

    # --- inside ------------------------------------------------------------------------------------------------

    def _entry(self, service: str) -> _Entry:
        entry = self._entries.get(service)
        if entry is None:
            if len(self._entries) >= MAX_LEAFS:
                self._forget_oldest()
            entry = self._entries[service] = _Entry()
        entry.used = self._clock.now()
        return entry

    def _forget_oldest(self) -> None:
        free = [(entry.used, name) for name, entry in self._entries.items() if not entry.waiters and not entry.issuing]
        if free:
            del self._entries[min(free)[1]]

    def _step(self) -> float:
        """Start what is due; seconds until there may be more to do."""
        now = self._clock.now()
        pause = timedelta(seconds=_STEP_S)
        for service, entry in list(self._entries.items()):
            if not entry.waiters and entry.issuing is None and now - _aware(entry.used, now) > UNUSED:
                del self._entries[service]
                continue
            if entry.renewal is None or entry.issuing is not None:
                continue
            if entry.renewal.due <= now:
                self._tasks.start(self._renew(service, entry), name=f"leaf of {service}")
            else:
                pause = min(pause, entry.renewal.due - now)
        return max(0.01, pause.total_seconds())

    async def _renew(self, service: str, entry: _Entry) -> None:
        try:
            await self._issue(service, entry)
        except MeshError as error:
            leaf = entry.leaf
            if leaf is not None:
                level = health(leaf.valid_after, leaf.valid_before, self._clock.now())
                log.log(
                    logging.ERROR if level in {"critical", "expired"} else logging.WARNING,
                    "leaf certificate not renewed: service=%s valid_before=%s error=%s",
                    service, leaf.signed.valid_before, error,
                )  # fmt: skip

    async def _issue(self, service: str, entry: _Entry) -> Leaf:
        if entry.issuing is None:
            entry.issuing = self._tasks.start(self._ask(service, entry), name=f"leaf of {service}")
        found = await asyncio.shield(entry.issuing)
        if isinstance(found, MeshError):
            raise found
        return found

    async def _ask(self, service: str, entry: _Entry) -> Leaf | MeshError:
        """A failure is a value: several may wait for it, and the task itself has not failed."""
        names = entry.wanted
        try:
            leaf = await self._asked(service, names)
        except MeshError as error:
            if entry.renewal is not None:
                entry.renewal.failed(self._clock.now(), limited=isinstance(error, TooManyRequests))
            return error
        finally:
            entry.issuing = None
            self._woken.set()
        entry.leaf, entry.names = leaf, names
        if entry.renewal is None:
            entry.renewal = Renewal(self._rng, leaf.valid_after, leaf.valid_before)
        else:
            entry.renewal.issued(leaf.valid_after, leaf.valid_before)
        for waiter in entry.waiters:
            _release(waiter)
        for listener in self.on_leaf:
            listener(service)
        log.debug("leaf certificate: service=%s serial=%s until=%s", service, leaf.signed.serial, leaf.valid_before)
        return leaf

    async def _asked(self, service: str, names: tuple[str, ...]) -> Leaf:
        from meshagent.connect import certs

        trust_domain, root = self._authority()
        if not trust_domain or not root:
            raise Unavailable("the certificate authority has no root yet, try again in a moment")
        uri = spiffe.format(spiffe.service_id(trust_domain, self._datacenter, service))
        # A leaf's key is always EC P-256, whatever the root's is (surface row M62).
        key = certs.new_key("ec", 256)
        signed = await self._sign(certs.request(key, uri, names))
        return Leaf(
            signed,
            key.decode("ascii"),
            datetime.fromisoformat(signed.valid_after),
            datetime.fromisoformat(signed.valid_before),
        )


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _aware(moment: datetime, now: datetime) -> datetime:
    return moment if moment.tzinfo is not None else now

"""I/O edge: a client agent's way to the servers: one connection, moved when its server fails or it is time to.

Source: README.md beside this file; surface row G21 (`rpc_hold_timeout`). A call is tried again at the next server while
that can help. Moving to another server is make before break: the new connection is accepted first, and takes over what
is followed; what is on its way over the old one has some time to end.

What may be changed: times. Nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.asking import RETRY_S, Asking
from meshagent.agent.rpc.held import Held, Holdings
from meshagent.agent.rpc.limit import RpcLimit
from meshagent.agent.rpc.messages import Standing
from meshagent.agent.rpc.opening import Opener
from meshagent.agent.rpc.retry import Retry
from meshagent.agent.rpc.session import Session
from meshagent.agent.servers import Server, Servers
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import Handler, RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import Clock, Tasks
from meshagent.errors import MeshError, NoLeader, RemoteProtocolError, Timeout

__all__ = ["Upstream"]

log = logging.getLogger("agent.client")

#: Between two rounds over all servers when none answers: doubled up to the longest, each cut by up to half by chance.
ROUND_FIRST_S = 0.1
ROUND_LONGEST_S = 5.0
#: Between two looks whether it is time to move, when neither a moment nor news calls for one.
LOOK_S = 600.0
SOONEST_S = 0.05
#: A server that has known no leader for so long may be cut off from the others: try the next.
LEADERLESS_S = 3.0
#: What an old connection has to end its calls.
LINGER_S = 10.0
#: Between two tries to have a new server confirm that it is current.
CONFIRM_S = 0.5


class Upstream(Asking):
    """The servers, as one that answers. Made on the running loop.

    `members` is the size of the cluster. Listeners in `on_connected` are called when a feed begins, those in `on_lost`
    when there is none any more.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        identity: Callable[[], Identity],
        security: Callable[[], Security],
        clock: Clock,
        rng: random.Random,
        metrics: RpcMetrics,
        settings: RpcSettings | None = None,
        members: Callable[[], int] = lambda: 1,
    ) -> None:
        self.settings = settings or RpcSettings()
        self.limit = RpcLimit(clock, metrics)
        self.holdings = Holdings(self._stands)
        self.standing = Standing("", 0)
        #: What the server that is connected may ask this agent.
        self.methods: dict[str, Handler] = {}
        self.on_connected: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []
        #: Called when what the servers say of connections that no intention speaks of has changed.
        self.on_default: list[Callable[[], None]] = []
        self._servers = servers
        self._clock = clock
        self._rng = rng
        self._members = members
        self._opener = Opener(
            identity=identity, security=security, clock=clock, rng=rng, metrics=metrics,
            settings=lambda: self.settings, methods=self.methods,
        )  # fmt: skip
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._feeding: Session | None = None
        self._lost_at = clock.monotonic()
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._look: asyncio.Future[None] = self._loop.create_future()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._fed: asyncio.Future[None] = self._loop.create_future()

    # --- how it stands -----------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether a server keeps what is followed up to date."""
        return self._feeding is not None

    @property
    def server(self) -> Server | None:
        """The server in use."""
        return None if self._session is None else self._session.server

    @property
    def age_s(self) -> float:
        """How old what is held may be, for want of a server; 0 while there is one."""
        return 0.0 if self._feeding is not None else self._clock.monotonic() - self._lost_at

    @property
    def gone(self) -> bool:
        """Whether there has been no server for longer than a request waits for one."""
        return self.age_s > self.settings.hold_timeout_s

    @property
    def known_servers(self) -> int:
        """How many servers are known."""
        return len(self._servers.all)

    def start(self) -> None:
        """Begin to connect."""
        self._tasks.start(self._run(), name="client connection")

    async def stop(self) -> None:
        """Close all connections."""
        await self._tasks.cancel()
        await self._opener.stop()
        self._session = self._feeding = None
        self.holdings.detach()

    def set_servers(self, servers: Iterable[Server]) -> None:
        """These are the servers of the datacenter now."""
        if self._servers.set(servers):
            for waiting in (self._news, self._look):
                if not waiting.done():
                    waiting.set_result(None)

    # --- asking ------------------------------------------------------------------------------------------------

    def gate(self) -> asyncio.Future[None]:
        """Done when all that is held is at least as new as what the leader had when this was called.

        One attempt, shared: do not cancel it. Fails with NoLeader, Unavailable or Timeout.
        """
        if self._feeding is not None:
            return self._feeding.gate.ready()
        failed: asyncio.Future[None] = self._loop.create_future()
        failed.set_exception(NoLeader())
        failed.exception()  # nobody need look
        return failed

    async def barrier(self) -> None:
        """Return when all that is held is at least as new as what the leader had when this was called.

        Raises:
            NoLeader: no server could say so within `hold_timeout_s`.
        """
        retry = Retry(self._clock, self.settings.hold_timeout_s)
        while True:
            session = self._feeding
            if session is None:
                await self._within(self._fed, retry)
                continue
            try:
                await asyncio.shield(session.gate.ready())
                return
            except MeshError as error:
                if retry.exhausted(lost=not session.link.ready):
                    raise NoLeader(str(error) if isinstance(error, NoLeader) else "No cluster leader") from error
            if session is self._feeding:
                await self._clock.sleep(RETRY_S)

    async def first_answer(self, held: Held, timeout_s: float) -> None:
        """Return when something that is followed has its first answer. Raises Timeout."""
        if held.loaded:
            return
        loaded: asyncio.Future[None] = self._loop.create_future()

        def listener() -> None:
            if not loaded.done():
                loaded.set_result(None)

        held.listeners[listener] = None
        try:
            await self._either(timeout_s, loaded)
        finally:
            held.listeners.pop(listener, None)
        if not held.loaded:
            raise Timeout("no server of the datacenter has answered in time")

    async def _usable(self, retry: Retry) -> Session:
        while self._session is None:
            await self._within(self._up, retry)
        return self._session

    async def _within(self, event: asyncio.Future[None], retry: Retry) -> None:
        if retry.left_s() > 0:
            await self._either(retry.left_s(), event)
        if not event.done():
            raise NoLeader(
                "No known Consul servers" if not self._servers.all else "No server of the datacenter answers"
            )

    # --- the connection ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = ROUND_FIRST_S
        while True:
            session = await self._opener.best(self._servers)
            if session is None:
                await self._either(pause_s * self._rng.uniform(0.5, 1.0), self._news)
                self._news = self._loop.create_future() if self._news.done() else self._news
                pause_s = min(2 * pause_s, ROUND_LONGEST_S)
                continue
            pause_s = ROUND_FIRST_S
            while session is not None:
                self._take_over(session)
                session = await self._watch_over(session)

    def _take_over(self, session: Session) -> None:
        """It is the one in use from now on."""
        old = self._session
        self._session = session
        self._servers.prefer(session.server)
        self._servers.used(self._clock.monotonic(), self._members())
        if not self._up.done():
            self._up.set_result(None)
        self._tasks.start(self._follow(session), name="client feed")
        if old is not None:
            self._tasks.start(self._linger(old), name="client old connection")

    async def _watch_over(self, session: Session) -> Session | None:
        """Return when the connection is lost (None), or another one is to take over."""
        while True:
            await self._either(self._look_s(session), session.task, self._look)
            if session.task.done():
                self._gone(session)
                return None
            self._look = self._loop.create_future() if self._look.done() else self._look
            target = self._target(session)
            if target is not None and target != session.server:
                new = await self._opener.open(target)
                if session.task.done():
                    self._gone(session)
                    return new
                if new is not None:
                    return new
                self._servers.failed(target)
                self._servers.prefer(session.server)

    def _look_s(self, session: Session) -> float:
        """Seconds until there may be a reason to move, unless there is news before."""
        now = self._clock.monotonic()
        look_s = self._servers.rebalance_in(now, LOOK_S)
        if session.leaderless_since is not None and len(self._servers.all) > 1:
            look_s = min(look_s, session.leaderless_since + LEADERLESS_S - now)
        return max(look_s, SOONEST_S)

    def _target(self, session: Session) -> Server | None:
        """Where to move, if anywhere."""
        now = self._clock.monotonic()
        if session.server not in self._servers.all:
            return self._servers.first
        since = session.leaderless_since
        if since is not None and now - since >= LEADERLESS_S and len(self._servers.all) > 1:
            session.leaderless_since = now
            self._servers.failed(session.server)
            return self._servers.first
        if self._servers.rebalance_due(now):
            return self._servers.rebalance(now, self._members())
        return None

    def _gone(self, session: Session) -> None:
        self._servers.failed(session.server)
        if self._session is session:
            self._session = None
            if self._up.done():
                self._up = self._loop.create_future()

    async def _linger(self, old: Session) -> None:
        """Let what is on its way over the old connection end."""
        await self._clock.sleep(LINGER_S)
        old.task.cancel()

    async def _either(self, seconds: float, *events: asyncio.Future[Any]) -> None:
        """Return when one of `events` is done, or after `seconds`."""
        timer = self._tasks.start(self._clock.sleep(seconds), name="client timer")
        try:
            await asyncio.wait((*events, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    # --- the feed ----------------------------------------------------------------------------------------------

    async def _follow(self, session: Session) -> None:
        """Take what the feed of a connection says, until it ends or another connection has taken over."""
        holdings = self.holdings
        link = session.link
        pieces = link.stream(messages.FEED, session.name, self.settings.client_timeout_s)
        try:
            async for payload in pieces:
                if self._session is not session and self._feeding is not session:
                    return
                piece = messages.decode_piece(payload)
                if self._feeding is not session:
                    if self._session is not session:
                        return
                    self._begin(session)
                holdings.handle(piece)
                if self._feeding is not session:
                    return
        except RemoteProtocolError as error:
            log.error("the server sends what does not fit: server=%s: %s", session.server.address, error)
            session.task.cancel()
        except MeshError as error:
            log.debug("feed ended: server=%s: %s", session.server.address, error)
        finally:
            if self._feeding is session:
                self._end()
        if self._session is session and not session.task.done():
            session.task.cancel()  # a server that feeds nobody is of no use

    def _begin(self, session: Session) -> None:
        self._feeding = session
        if not self._fed.done():
            self._fed.set_result(None)
        session.on_refused = lambda error: self._refused(session, error)
        self.holdings.attach(session.name, session.send)
        self._tasks.start(self._confirm(session), name="client confirm")
        for listener in list(self.on_connected):
            listener()

    def _end(self) -> None:
        self._feeding = None
        self._lost_at = self._clock.monotonic()
        self._fed = self._loop.create_future()
        self.holdings.detach()
        for listener in list(self.on_lost):
            listener()

    def _refused(self, session: Session, error: BaseException) -> None:
        if session.link.ready:
            log.warning("the server does not take what to follow: server=%s: %s", session.server.address, error)
            session.task.cancel()

    async def _confirm(self, session: Session) -> None:
        """Have the server say that it is current, so that nothing held goes back in time."""
        while self._feeding is session:
            try:
                await asyncio.shield(session.gate.ready())
            except MeshError:
                await self._clock.sleep(CONFIRM_S)
            else:
                if self._feeding is session:
                    self.holdings.current()
                return

    def _stands(self, standing: Standing) -> None:
        before, self.standing = self.standing, standing
        if standing.denies != before.denies:
            for listener in self.on_default:
                listener()
        session = self._feeding
        if session is not None:
            session.leaderless_since = None if standing.leader else self._clock.monotonic()
            if not standing.leader and not self._look.done():
                self._look.set_result(None)

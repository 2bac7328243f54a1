"""Answering reads on a client agent: from what it follows, or by asking a server.

A question is followed when somebody waits on it (`?index`), wants the agent's cache (`?cached`), or asks it again; the
first time it is just asked. From a view:

- `?stale` and `?cached` are answered at once, as bytes;
- a default read after all that the leader had when it came is here: one round trip, shared by all who wait for it;
- `?consistent` and `?leader` always go to the servers.

While no server can be reached, what is held is answered, and says so: its age, no known leader, consistency "stale".

Source: surface rows C11-C20; agent/rpc/README.md. What may be changed: when a question is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.http.reads import Dress, Reads
from meshagent.agent.http.remote_views import RemoteViews, followable
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.tallies import EMPTY, count_lookup
from meshagent.agent.http.views import View
from meshagent.agent.http.wire import Answer
from meshagent.errors import Denied, InternalError, MeshError, NoLeader, Timeout

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.forwarding import Forwarder
    from meshagent.agent.http.request import ReadOptions, Request
    from meshagent.agent.http.routes import Route
    from meshagent.agent.http.settings import HttpSettings
    from meshagent.agent.rpc.upstream import Upstream

__all__ = ["RemoteReads"]


class RemoteReads(Reads):
    """Answers read routes on a client agent."""

    def __init__(
        self, agent: Agent, settings: HttpSettings, always: bytes, upstream: Upstream, forwarder: Forwarder
    ) -> None:
        super().__init__(agent, settings, always)
        self.views: RemoteViews = RemoteViews(agent, upstream)
        self._upstream = upstream
        self._forwarder = forwarder

    async def _answer(
        self, route: Route, request: Request, options: ReadOptions, gzip: bool
    ) -> tuple[Answer, View | None, Dress | None]:
        mode = self._mode(route, options)
        blocking = options.index > 0 and "B" in route.flags
        cached = (options.cached and "K" in route.flags and self.settings.use_cache) or route.always_cached
        elsewhere = options.datacenter not in {"", self.agent.datacenter}
        view = None
        if not (elsewhere or route.volatile or mode in {"consistent", "leader"}):
            view = await self._view(route, request, eager=blocking or cached)
        if view is None:
            answer = await self._forwarder.answer(route, request)
            if isinstance(answer, StreamingResponse):
                raise InternalError("a server streams the answer of a read")
            return answer, None, None
        if blocking:
            await self._block(view, options)
        streaming = route.streaming and self.settings.use_streaming and (blocking or cached)
        if mode == "" and not cached and not streaming and not await self._current():
            mode = "stale"
        view.refresh()
        if route.always_cached:
            cache, age_s = "HIT", 0
        else:
            cache, age_s = self._cache_state(view) if cached else ("", 0)
        dress = Dress(
            mode="stale" if cached else mode,
            pretty=self.settings.pretty or request.query.has("pretty"),
            gzip=gzip,
            effective=(mode or "leader") if route.effective else "",
            streaming=streaming,
            cache=cache,
            age_s=age_s,
        )
        # Remembered are those that every time answer the same way: the first of the cache is a miss, and what was
        # answered without a server must be looked at again.
        if self.agent.config.acl.enabled and self.agent.config.acl.down_policy == "deny":
            if self._upstream.gone:
                raise Denied("Permission denied: no server can say what the token may see")
            mode_kept = False  # without a server nothing that is held may be given
        else:
            mode_kept = True
        usual = mode_kept and cache != "MISS" and (cached or mode == self._mode(route, options))
        repeatable = usual and not blocking and not options.near and not options.max_stale_ns
        answer = self.dressed(view, dress)
        count_lookup(self.agent.metrics, view, 1, found=view.body != EMPTY)
        return answer, view if repeatable else None, dress

    def standing(self, dress: Dress) -> tuple[str, int, str]:
        """As of a server; without one, what is held has an age."""
        age_s = self._upstream.age_s
        if age_s <= 0.0:
            return super().standing(dress)
        return "false", int(age_s * 1000), f"Age: {int(age_s)}\r\n"

    async def _view(self, route: Route, request: Request, *, eager: bool) -> View | None:
        """The view of a question if it is followed, or worth it from now on."""
        token = request.token if self.agent.config.acl.enabled else ""
        question = self.views.question(route, request, token)
        view = self.views.find(question)
        if view is not None or not followable(question):
            return view
        if not self.views.wanted(question) and not eager:
            return None
        try:
            return await self.views.follow(route, request, question, self._upstream.settings.hold_timeout_s)
        except Timeout as error:
            raise NoLeader("No known Consul servers" if not self._upstream.known_servers else str(error)) from None

    async def _current(self) -> bool:
        """Whether what is held is now as new as a default read asks for; False while there is no server at all.

        Raises:
            NoLeader: there is a server, and no leader.
        """
        if self._upstream.gone:
            return False
        try:
            await self._upstream.barrier()
        except MeshError:
            if self._upstream.connected:
                raise
            return False
        return True

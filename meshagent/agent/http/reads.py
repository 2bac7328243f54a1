"""Answering reads: consistency, blocking, the agent cache, the headers that tell of them.

A read route gives rows for a question (`Route.read`); here it gets its view, waits when the client asked to, and is
dressed in the meta headers. Nothing here touches a socket: what leaves is an `Answer`.

Source: surface rows C11-C20; developer.hashicorp.com/consul/api-docs/features/blocking and /consistency. Any server
answers: one that does not lead asks the leader how far it must have applied before it may (`ServingLog.read_barrier`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.agent.http.request import BadOption, ReadOptions, Request
from meshagent.agent.http.response import JSON
from meshagent.agent.http.tallies import EMPTY, count_lookup
from meshagent.agent.http.views import View, Views
from meshagent.agent.http.wire import Answer, error_answer, head, header_block
from meshagent.errors import InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.routes import Route
    from meshagent.agent.http.settings import HttpSettings

__all__ = ["Dress", "NothingToSee", "Reads", "wait_ready"]

#: Entries of the agent cache are kept this long after their last use (surface row C19).
CACHE_TTL_S = 3 * 24 * 3600.0
#: Blocking queries end up to this part of their wait later, so that they do not all come back at once.
JITTER_FRACTION = 16

#: What an error that was raised behind the parsing carries (surface row C16).
_ERROR_META = (
    b"X-Consul-Index: 1\r\n"
    b"X-Consul-Knownleader: false\r\n"
    b"X-Consul-Lastcontact: 0\r\n"
    b"X-Consul-Query-Backend: blocking-query\r\n"
)


class NothingToSee(MeshError):
    """The token may see nothing of what was asked for: the answer is an empty list that says nothing of the store."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class Dress:
    """How a view's answer is sent: form of the body, and what its headers say of consistency and cache.

    `mode` is the consistency of the read, `effective` what the header says of it: "" for endpoints without it.
    """

    mode: str = ""
    pretty: bool = False
    gzip: bool = False
    effective: str = ""
    streaming: bool = False
    cache: str = ""
    age_s: int = 0


async def wait_ready(agent: Agent, mode: str) -> None:
    """Return when this server may answer in consistency `mode`.

    A `stale` answer may come from any server that has heard a leader since it started: before that it does not know how
    old its state is.

    Raises:
        NoLeader: it could not within `rpc_hold_timeout`.
    """
    log = agent.log
    if mode == "stale" and log.has_heard:
        return
    await log.read_barrier(consistent=mode == "consistent")


class Reads:
    """Answers read routes from views."""

    def __init__(self, agent: Agent, settings: HttpSettings, always: bytes) -> None:
        self.agent = agent
        self.settings = settings
        #: The header lines every answer has.
        self.always = always
        self.views = Views(agent)

    async def answer(self, route: Route, request: Request, *, gzip: bool) -> tuple[Answer, View | None, Dress | None]:
        """The answer, and when it may be given again from the same bytes: its view and dress.

        Raises:
            BadRequest: a parameter is wrong; such an answer has no meta headers.
        """
        options = request.options
        try:
            return await self._answer(route, request, options, gzip)
        except NothingToSee:
            effective = f"X-Consul-Effective-Consistency: {self._mode(route, options) or 'leader'}\r\n".encode()
            always, meta = self.always, effective + _ERROR_META
            return Answer(200, head(200, always, meta, JSON, len(EMPTY), False), EMPTY), None, None
        except MeshError as error:
            if error.http_status not in {403, 404, 500} or isinstance(error, BadOption):
                raise
            self.agent.metrics.incr("rpc.request_error")
            named = (
                bool(str(error)) or error.http_status != 404
            )  # that something is not there may be said without a word
            meta = _ERROR_META if named and ((route.effective and not route.streaming) or route.meta_on_error) else b""
            return error_answer(error.http_status, str(error), self.always, meta), None, None

    async def _answer(
        self, route: Route, request: Request, options: ReadOptions, gzip: bool
    ) -> tuple[Answer, View | None, Dress | None]:
        if options.datacenter and options.datacenter != self.agent.datacenter:
            raise InternalError("No path to datacenter")
        mode = self._mode(route, options)
        if route.guard is not None:
            route.guard(self.agent, request)
        await self.wait_ready(mode)
        blocking = options.index > 0 and "B" in route.flags
        cached = (options.cached and "K" in route.flags and self.settings.use_cache) or route.always_cached
        if route.volatile and not cached and not blocking:
            return self._once(route, request, mode, gzip), None, None
        view = self.views.get(route, request)
        if blocking:
            await self._block(view, options)
            await self.wait_ready("" if mode == "consistent" else mode)
            view = await self._again(route, request, view)
        streaming = route.streaming and self.settings.use_streaming and (blocking or cached)
        if route.always_cached:
            cache, age_s = "HIT", 0
        else:
            cache, age_s = self._cache_state(view) if cached else ("", 0)
        dress = Dress(
            mode=mode,
            pretty=self.settings.pretty or request.query.has("pretty"),
            gzip=gzip,
            effective=(mode or "leader") if route.effective else "",
            streaming=streaming,
            cache=cache,
            age_s=age_s,
        )
        repeatable = not blocking and not cached and not options.near
        answer = self.dressed(view, dress)
        count_lookup(self.agent.metrics, view, 1, found=view.body != EMPTY)
        return answer, view if repeatable else None, dress

    async def _again(self, route: Route, request: Request, view: View) -> View:
        """The view of a question after a wait: what the token may see can have become another."""
        guardian = self.agent.extras.get("acl")
        if guardian is not None and not route.open:
            request.access = (await guardian.identify(request.token)).access
            if route.guard is not None:
                route.guard(self.agent, request)
            return self.views.get(route, request)
        view.refresh()
        return view

    def _once(self, route: Route, request: Request, mode: str, gzip: bool) -> Answer:
        view = self.views.once(route, request)
        try:
            pretty = self.settings.pretty or request.query.has("pretty")
            effective = (mode or "leader") if route.effective else ""
            return self.dressed(view, Dress(mode=mode, pretty=pretty, gzip=gzip, effective=effective))
        finally:
            view.close()

    def dressed(self, view: View, dress: Dress) -> Answer:
        """The answer of a fresh view."""
        body, gzipped = view.encoded(pretty=dress.pretty, gzip=dress.gzip)
        known, contact, age = self.standing(dress)
        backend = "streaming" if dress.streaming else "blocking-query"
        effective = f"X-Consul-Effective-Consistency: {dress.effective}\r\n" if dress.effective else ""
        cache = f"X-Cache: {dress.cache}\r\n" if dress.cache else ""
        meta = (
            f"{age}{cache}{effective}X-Consul-Index: {view.index}\r\nX-Consul-Knownleader: {known}\r\n"
            f"X-Consul-Lastcontact: {contact}\r\nX-Consul-Query-Backend: {backend}\r\n"
        ).encode()
        if view.bare:
            meta = b""
        if view.headers:
            meta += header_block(view.headers)
        return Answer(view.status, head(view.status, self.always, meta, view.content_type, len(body), gzipped), body)

    def standing(self, dress: Dress) -> tuple[str, int, str]:
        """What the headers say of this server: whether it knows a leader, since when, and the line of the age."""
        # What is not stale is as the leader's own answer, wherever it is given.
        known, contact = "true", 0
        if dress.streaming:
            known = "false"
        elif dress.mode == "stale":
            log = self.agent.log
            known, contact = "true" if log.leader else "false", log.last_contact_ms
        return known, contact, f"Age: {dress.age_s}\r\n" if dress.cache == "HIT" else ""

    def _mode(self, route: Route, options: ReadOptions) -> str:
        mode = options.consistency
        if not mode and self.settings.discovery_max_stale_s > 0 and route.discovery:
            mode = "stale"
        if mode == "stale" and not self.agent.log.is_leader:
            limit_ms = options.max_stale_ns / 1e6 or self.settings.discovery_max_stale_s * 1e3
            if limit_ms and self.agent.log.last_contact_ms > limit_ms:
                return "leader"
        return mode

    async def wait_ready(self, mode: str) -> None:
        """Return when this server may answer in consistency `mode`.

        Raises:
            NoLeader: it could not within `rpc_hold_timeout`.
        """
        await wait_ready(self.agent, mode)

    async def _block(self, view: View, options: ReadOptions) -> None:
        settings = self.settings
        wait_s = options.wait_ns / 1e9 if options.wait_ns > 0 else settings.default_query_time_s
        wait_s = min(wait_s, settings.max_query_time_s)
        wait_s += self.agent.rng.random() * wait_s / JITTER_FRACTION
        metrics = self.agent.metrics
        metrics.move("rpc.queries_blocking", 1)
        try:
            await view.changed_from(options.index, wait_s)
        finally:
            metrics.move("rpc.queries_blocking", -1)

    def _cache_state(self, view: View) -> tuple[str, int]:
        now = self.agent.clock.monotonic()
        since = view.cached_since
        view.cached_since = now
        return ("MISS", 0) if since is None or now - since > CACHE_TTL_S else ("HIT", 0)

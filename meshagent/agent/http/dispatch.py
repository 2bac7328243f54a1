"""From a request to its answer: routing, guards, parameters that every endpoint shares, errors.

The order of the checks is Consul's: target, path, route, blocked endpoints, OPTIONS, method, write guard, tenancy,
handler. A `MeshError` becomes its status and bare text; anything else is a 500 that tells the client nothing and is
logged with its traceback. No socket is touched here.

Source: surface rows C1-C10, C17, C24, C25, C29. What may change here: checks that hold for all endpoints.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from meshagent.agent.acl.access import Refused
from meshagent.agent.http.datacenters import elsewhere
from meshagent.agent.http.primary import to_primary
from meshagent.agent.http.ratelimit import RateLimits
from meshagent.agent.http.reads import Dress, Reads
from meshagent.agent.http.request import Request, parse_query, unescape
from meshagent.agent.http.response import JSON, Headers, Response, StreamingResponse
from meshagent.agent.http.routes import Route, Router, load_routes
from meshagent.agent.http.tallies import api_name, count_api
from meshagent.agent.http.target import Target, clean_path, parse_target, without_token
from meshagent.agent.http.views import View, indent
from meshagent.agent.http.wire import Answer, error_answer, finish, header_block
from meshagent.errors import BadRequest, MeshError, TooLarge

if TYPE_CHECKING:
    from meshagent.agent.acl.audit import AuditLog
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.acl.resolver import Identity
    from meshagent.agent.acl.usage import Usage
    from meshagent.agent.core import Agent
    from meshagent.agent.http.settings import HttpSettings
    from meshagent.metrics import Sampler

__all__ = ["Dispatcher", "Forward", "Incoming", "Outcome", "always_lines", "too_large", "without_token"]

log = logging.getLogger("agent.http")

_NOT_AN_ENDPOINT = "Invalid URL path: not a recognized HTTP API endpoint\n"
_NOT_THE_API = "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"
_UI_OFF = "Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart."
_DOCS = "https://www.consul.io/docs/agent/config/config-files#"
_NOT_BUILT = "{method} {path} is not built yet in meshagent: {summary}"
_VARY = b"Vary: Accept-Encoding\r\n"


class Incoming:
    """A request as the connection hands it over. `read_body(limit)` gives the body or raises TooLarge; `pieces()` gives
    it as it comes. `asker` is the node whose agent was asked, when it was another one."""

    __slots__ = ("asker", "headers", "method", "pieces", "read_body", "remote", "target")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        remote: str,
        read_body: Callable[[int], Awaitable[bytes]],
        pieces: Callable[[], AsyncIterator[bytes] | None] = lambda: None,
        asker: str = "",
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.remote = remote
        self.read_body = read_body
        self.pieces = pieces
        self.asker = asker


class Outcome:
    """What to write, and for an answer that may be repeated from the same bytes, its view, dress and sampler."""

    __slots__ = ("answer", "dress", "identity", "sampler", "view")

    def __init__(
        self,
        answer: Answer | StreamingResponse,
        view: View | None = None,
        dress: Dress | None = None,
        sampler: Sampler | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.answer = answer
        #: Whose token it was answered for: the answer may be repeated while that holds.
        self.identity = identity
        self.view = view
        self.dress = dress
        self.sampler = sampler


Forward: TypeAlias = "Callable[[Route, Request], Awaitable[Outcome]]"


class Dispatcher:
    """Answers requests for one agent."""

    def __init__(
        self, agent: Agent, settings: HttpSettings, routes: tuple[Route, ...] | None = None, *, bare: bool = False
    ) -> None:
        self.agent = agent
        self.settings = settings
        self.routes = load_routes() if routes is None else routes
        self.router = Router(self.routes)
        #: What every answer says; nothing when `bare`: then another agent adds its own.
        self.always = b"" if bare else always_lines(settings)
        #: The same for paths behind which there is no endpoint: they do not name the policy.
        self._unrouted = b"" if bare else _VARY + header_block(settings.response_headers)
        self._forward: Forward | None = None
        self.reads = Reads(agent, settings, self.always)
        if agent.upstream is not None:
            from meshagent.agent.http.forwarding import Forwarder
            from meshagent.agent.http.remote_reads import RemoteReads  # what only clients need

            forwarder = Forwarder(agent.upstream, settings, self.always)
            self._forward = forwarder.outcome
            self.reads = RemoteReads(agent, settings, self.always, agent.upstream, forwarder)
        self._guardian: Guardian | None = agent.extras.get("acl")
        self._audit: AuditLog | None = agent.extras.get("audit")
        self._usage: Usage | None = agent.extras.get("acl_usage")
        agent.extras["router"] = self.router
        #: Requests of another agent's clients bring that agent's default, if any.
        self._own_default = not bare
        self.limits = RateLimits(settings.rates, agent.clock.monotonic())
        self._bare = bare
        self._api = {id(route): api_name(route) for route in self.routes}
        self._samplers = {id(route): _sampler(agent, route) for route in self.routes}

    def sampled(self) -> list[tuple[Route, Sampler]]:
        """Every route with the sampler of its requests; the same ones after a reload."""
        return [(route, self._samplers[id(route)]) for route in self.routes]

    async def answer(self, incoming: Incoming) -> Outcome:
        """Answer a request; every failure is an answer too."""
        try:
            target = parse_target(incoming.target)
            incoming.target.encode("ascii")
        except ValueError:
            return Outcome(error_answer(400, "400 Bad Request", b"", close=True))
        if self.settings.filter_unprintable and not target.printable:
            return Outcome(finish(Response(400, content_type=None), b"", gzip=False))
        if not target.clean:
            return Outcome(self._redirect(307, clean_path(target.raw_path), target.query, incoming.method))
        found = self.router.find(target.raw_path)
        if found is None:
            if target.path.startswith("/debug/pprof/"):
                return Outcome(await self._profile(incoming, target))
            return Outcome(self._no_route(target, incoming.method))
        methods = found.methods
        allow = ",".join(("OPTIONS", *methods))
        if any(target.path.startswith(prefix) for prefix in self.settings.block_endpoints):
            return Outcome(self._text(403, "Endpoint is blocked by agent configuration"))
        if incoming.method == "OPTIONS":
            return Outcome(finish(Response(200, headers=(("Allow", allow),)), self.always, gzip=False))
        route = methods.get(incoming.method)
        if route is None:
            if any(other.suffix for other in methods.values()):
                allow = ",".join(methods)  # behind a suffix Consul leaves OPTIONS out
            lines = header_block((("Allow", allow),))
            answer = error_answer(405, f"method {incoming.method} not allowed", self.always, lines)
            if incoming.method == "HEAD":
                answer.body = b""
            return Outcome(answer)
        if incoming.method != "GET" and not self.settings.may_write(incoming.remote):
            return Outcome(self._text(403, "Access is restricted"))
        outcome = await self._run(route, target, unescape(found.name), incoming)
        if self.settings.translate_wan_addrs and target.query and not self._bare:
            from meshagent.agent.http.translating import reached_from  # only where it is switched on

            reached = reached_from(self.agent.datacenter, outcome.answer, route, target.query)
            outcome = outcome if reached is outcome.answer else Outcome(reached)
        if not self._bare:
            count_api(self.agent, self._api[id(route)], status=outcome.answer.status)
        return outcome

    async def _run(self, route: Route, target: Target, name: str, incoming: Incoming) -> Outcome:
        started = self.agent.clock.monotonic()
        sampler = self._samplers[id(route)]
        status, refusal = 200, ""
        request = Request(
            incoming.method, target.path, parse_query(target.query), incoming.headers,
            name=name, remote=incoming.remote, asker=incoming.asker,
        )  # fmt: skip
        try:
            _check_tenancy(route, request)
            if self.limits.active and route.limited:
                self._count(incoming.method, started)
            request.token = request.given_token
            if self._guardian is not None and not route.open:
                await self._identify(route, request)
            gzip = "gzip" in incoming.headers.get("Accept-Encoding", "")
            forward = None if route.local else self._forward or elsewhere(self, route, request)
            if route.read is not None:
                if incoming.method != "GET":  # a question that is too long for a query
                    request.body = await self._body(route, incoming)
                if forward is not None and (incoming.method != "GET" or self._forward is None):
                    return await forward(route, request)
                answer, view, dress = await self.reads.answer(route, request, gzip=gzip)
                status, refusal = answer.status, "Permission denied" if answer.status == 403 else ""
                if route.visible is not None and self._usage is not None and request.identity is not None:
                    self._usage.saw(request.access.accessor, route, request)
                return Outcome(answer, view, dress, sampler, request.identity)
            handle = route.handle
            if handle is None:
                if route.guard is not None:
                    route.guard(self.agent, request)
                text = _NOT_BUILT.format(method=route.method, path=route.path + route.suffix, summary=route.summary)
                return Outcome(self._text(501, text))
            if route.upload:
                request.pieces = incoming.pieces()
            elif incoming.method != "GET":
                request.body = await self._body(route, incoming)
            elif incoming.headers.get("Content-Length", "0") != "0":
                log.warning("GET request has a non-empty body that will be ignored: path=%s", target.path)
            if forward is None and not route.local and request.pieces is None:
                forward = to_primary(self, route, request)
            if forward is not None:
                return await forward(route, request)
            if route.guard is not None:
                route.guard(self.agent, request)
            response = await handle(self.agent, request)
            status = response.status
            if isinstance(response, StreamingResponse):
                return Outcome(response)
            if response.content_type is JSON and (self.settings.pretty or request.query.has("pretty")):
                response.body = indent(response.body)
            return Outcome(finish(response, self.always, gzip=gzip))
        except MeshError as error:
            status, refusal = error.http_status, str(error)
            if route.limited:
                self.agent.metrics.incr("rpc.request_error")
            closing = isinstance(error, TooLarge) or route.upload  # the rest of an upload is not awaited
            return Outcome(error_answer(error.http_status, str(error), self.always, close=closing))
        except Exception:
            status = 500
            log.exception("request failed: method=%s path=%s", incoming.method, target.path)
            return Outcome(self._text(500, "internal error: see the log of the agent"))
        finally:
            if self._audit is not None and (incoming.method != "GET" or status == 403):
                self._record(route, request, incoming, status, refusal)
            took_s = self.agent.clock.monotonic() - started
            sampler.sample(took_s * 1000.0)
            if log.isEnabledFor(logging.DEBUG):
                log.debug(
                    "Request finished: method=%s url=%s from=%s latency=%.3fms",
                    incoming.method, without_token(incoming.target), incoming.remote, took_s * 1000.0,
                )  # fmt: skip

    def _record(self, route: Route, request: Request, incoming: Incoming, status: int, refusal: str) -> None:
        """Write it down, on the agent that answers it: a client answers reads that it follows, denials too."""
        if self._audit is not None and (self._forward is None or route.local or incoming.method == "GET"):
            self._audit.record(
                accessor=request.access.accessor,
                method=incoming.method,
                path=without_token(incoming.target),
                remote=incoming.remote,
                asker=incoming.asker,
                status=status,
                refusal=refusal if status == 403 else "",
            )

    async def _profile(self, incoming: Incoming, target: Target) -> Answer:
        from meshagent.agent.http.profiles import profile  # only where one is asked for

        request = Request(incoming.method, target.path, parse_query(target.query), incoming.headers)
        return finish(await profile(self._guardian, self.settings.enable_debug, request), _VARY, gzip=False)

    async def _identify(self, route: Route, request: Request) -> None:
        """Say what the token of the request may do."""
        guardian = self._guardian
        if guardian is None:
            return
        if not request.token and self._own_default:
            request.token = guardian.tokens.default
        if self._forward is not None and not route.local:
            return  # the servers decide
        try:
            request.identity = await guardian.identify(request.token)
            request.access = request.identity.access
        except MeshError as error:
            request.access = Refused(error)

    async def _body(self, route: Route, incoming: Incoming) -> bytes:
        settings = self.settings
        if route.body_limit == "kv":
            limit, option = settings.kv_max_value_size, "kv_max_value_size"
        elif route.body_limit == "txn":
            limit, option = settings.txn_max_req_len, "txn_max_req_len"
        else:
            return await incoming.read_body(settings.max_body_bytes)
        length = incoming.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length) > limit:
            raise too_large(int(length), limit, option)
        try:
            return await incoming.read_body(limit)
        except TooLarge:
            raise too_large(limit + 1, limit, option) from None

    def _count(self, method: str, now: float) -> None:
        """Count against the rate limits (surface row C27)."""
        if method == "GET":
            self.limits.check_read(now)
        else:
            self.limits.check_write(now, leader=self.agent.log.is_leader)

    def _text(self, status: int, text: str) -> Answer:
        return error_answer(status, text, self.always)

    def _redirect(self, status: int, path: str, query: str, method: str) -> Answer:
        location = path + (f"?{query}" if query else "")
        phrase = "Moved Permanently" if status == 301 else "Temporary Redirect"
        headers = (("Location", location),)
        if method != "GET":
            return finish(Response(status, b"", headers, None), b"", gzip=False)
        import html  # its table of entities takes 0.3 MB

        body = f'<a href="{html.escape(location)}">{phrase}</a>.\n\n'.encode()
        response = Response(status, body, headers, "text/html; charset=utf-8")
        return finish(response, b"", gzip=False)

    def _no_route(self, target: Target, method: str) -> Answer:
        path = target.raw_path
        settings = self.settings
        if self.router.is_prefix(path + "/"):
            return self._redirect(307, path + "/", target.query, method)
        if path == "/":
            if settings.ui_enabled:
                return self._redirect(301, settings.ui_path, "", method)
            return error_answer(200, _UI_OFF, self._unrouted)
        if settings.ui_enabled and path + "/" == settings.ui_path:
            return self._redirect(307, settings.ui_path, target.query, method)
        pages = ("/robots.txt", settings.ui_path)
        if settings.ui_enabled and method in {"GET", "HEAD"} and path.startswith(pages):
            return self._page(path, method)
        text = _NOT_AN_ENDPOINT if "/v1/" in path else _NOT_THE_API
        return error_answer(404, text, self._unrouted)

    def _page(self, path: str, method: str) -> Answer:
        from meshagent.agent.http.pages import ROBOTS, Page, page  # only where a page is shown

        settings = self.settings
        if path == "/robots.txt":
            found = ROBOTS
        else:
            name = unquote(path.removeprefix(settings.ui_path))
            about = Page(
                settings.ui_path, self.agent.datacenter, settings.ui_dir, settings.ui_metrics, settings.ui_scripts
            )
            found = page(name, about)
        response = Response(found.status, b"" if method == "HEAD" else found.body, found.headers, found.content_type)
        return finish(response, header_block(settings.response_headers), gzip=False)


def too_large(size: int, limit: int, option: str) -> TooLarge:
    """The refusal of a body, in Consul's words."""
    return TooLarge(f"Request body({size} bytes) too large, max size: {limit} bytes. See {_DOCS}{option}.")


def always_lines(settings: HttpSettings) -> bytes:
    """The header lines of every answer (surface row C17)."""
    lines: Headers = (("X-Consul-Default-Acl-Policy", settings.default_policy),)
    if settings.translate_wan_addrs:
        lines = (*lines, ("X-Consul-Translate-Addresses", "true"))
    return _VARY + header_block(lines + settings.response_headers)


def _check_tenancy(route: Route, request: Request) -> None:
    """Refuse Enterprise parameters where Consul does (surface row C10)."""
    if not route.tenancy:
        return
    both = route.tenancy == "both"
    query, headers = request.query, request.headers
    if both and query.get("ns"):
        raise BadRequest('Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature')
    if both and headers.get("X-Consul-Namespace"):
        raise BadRequest('Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature')
    if query.get("partition"):
        raise BadRequest('Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature')
    if headers.get("X-Consul-Partition"):
        raise BadRequest('Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature')


def _sampler(agent: Agent, route: Route) -> Sampler:
    path = (route.path + route.suffix).lstrip("/").replace("/", "_")
    return agent.metrics.sampler("api.http", (("method", route.method), ("path", path)))

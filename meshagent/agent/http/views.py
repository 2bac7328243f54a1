"""Questions and their encoded answers: what lets a read be answered without reading.

A `View` is one question (endpoint, name, the parameters that matter) with its encoded body and index. It subscribes to
exactly the topics its rows came from; when one fires the body is dropped, or, when blocking queries wait on it, made
anew once for all of them. So a thousand watchers of one service cost one query and one encoding for each change.

Some indexes move without their rows (the index of a missing key is that of its table): such a result carries `live`,
which gives the index of now.

Source: surface rows C11-C13, C19; design.md "The hot paths serve bytes". What may change here: bounds, what is kept.
A view never answers from rows older than the last flush of the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from meshagent.agent.http.request import Query, Request
from meshagent.agent.http.response import JSON, Headers, encode_json
from meshagent.agent.http.tallies import api_name
from meshagent.agent.http.waiters import Waiters
from meshagent.agent.http.wire import GZIP_FROM, compress
from meshagent.catalog.queries import Result

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.routes import Route
    from meshagent.catalog.watch import Subscription

__all__ = ["CONTROL", "FILTERED", "LiveResult", "View", "Views", "view_key"]

T = TypeVar("T")

#: Says that something was left out because of the token (surface row C18).
FILTERED = ("X-Consul-Results-Filtered-By-Acls", "true")

#: How many questions are kept, and how many bytes of bodies; what somebody waits on does not count.
MAX_VIEWS = 8192
MAX_BYTES = 64 * 1024 * 1024

#: Parameters that say how to answer, not what is asked.
CONTROL = frozenset(
    {
        "index", "wait", "hash", "stale", "consistent", "leader", "max_stale", "cached", "pretty", "token",
        "dc", "datacenter", "ns", "partition", "ap",
    }
)  # fmt: skip


class LiveResult(Result[T], Generic[T], frozen=True):
    """A result whose index may move while its rows stay: `live()` is the index of now."""

    live: Callable[[], int]


class View:
    """One question and its present answer."""

    __slots__ = (
        "_agent",
        "_encode",
        "_gzipped",
        "_live",
        "_pretty",
        "_pretty_gzipped",
        "_read",
        "_subscription",
        "_views",
        "_visible",
        "_waiters",
        "api",
        "bare",
        "body",
        "cached_since",
        "content_type",
        "fresh",
        "headers",
        "key",
        "lookup",
        "on_change",
        "request",
        "row_index",
        "size",
        "status",
        "used",
        "version",
    )

    def __init__(self, views: Views, key: tuple[object, ...], route: Route, request: Request) -> None:
        self._views = views
        self._agent = views.agent
        if route.read is None:
            raise TypeError(f"{route.path} has no read")
        self._read = route.read
        self._encode = route.encode
        self.api = api_name(route)
        self._visible = route.visible
        #: The first two words of its metrics when it looks up a service, else nothing.
        self.lookup = tuple(route.lookup.split(".")) if route.lookup else ()
        self.key = key
        #: The question without what identifies the asker.
        self.request = request
        self.fresh = False
        self.version = 0
        self.status = 200
        self.body = b""
        self.content_type: str | None = JSON
        self.headers: Headers = ()
        self.bare = False
        self.row_index = 1
        self.size = 0
        self.used = False
        #: Called, without more, when the answer may have changed; it is not made anew for that.
        self.on_change: Callable[[], None] | None = None
        #: When `?cached` first asked for it, in monotonic seconds.
        self.cached_since: float | None = None
        self._live: Callable[[], int] | None = None
        self._gzipped: bytes | None = None
        self._pretty: bytes | None = None
        self._pretty_gzipped: bytes | None = None
        self._subscription: Subscription | None = None
        self._waiters = Waiters()

    @property
    def index(self) -> int:
        """The index to report and to block on, at least 1. The view must be fresh."""
        return self.row_index if self._live is None else (self._live() or 1)

    @property
    def moving(self) -> bool:
        """Whether `index` can change while the body stays."""
        return self._live is not None

    @property
    def awaited(self) -> bool:
        """Whether a blocking query waits here."""
        return bool(self._waiters)

    def refresh(self) -> None:
        """Make the answer anew if it is not fresh.

        Raises:
            MeshError: the question itself is wrong (a bad filter, a missing name).
        """
        if self.fresh:
            return
        result = self._read(self._agent, self.request)
        rows, access = result.rows, self.request.access
        hidden = False
        if self._visible is not None and not access.sees_all:
            rows, hidden = self._visible(rows, access, self.request)
        encode = self._encode
        encoded = encode_json(rows) if encode is None else encode(rows, self.request)
        if isinstance(encoded, bytes):
            self.status, self.content_type, self.headers, self.body, self.bare = 200, JSON, (), encoded, False
        else:
            self.status, self.content_type = encoded.status, encoded.content_type
            self.headers, self.body, self.bare = encoded.headers, encoded.body, encoded.bare
        if hidden and not access.anonymous:
            self.headers = (*self.headers, FILTERED)
        self.row_index = result.index or 1
        self._live = result.live if isinstance(result, LiveResult) else None
        self._subscription = self._agent.store.watches.subscribe(result.topics, self._changed)
        self.fresh = True
        self.version += 1
        self._views._resized(self, len(self.body))

    def encoded(self, *, pretty: bool, gzip: bool) -> tuple[bytes, bool]:
        """The body as it is to be sent, and whether that is gzip; every form is made once."""
        pretty = pretty and self.content_type is JSON and bool(self.body)
        if not pretty:
            if not gzip or len(self.body) < GZIP_FROM:
                return self.body, False
            if self._gzipped is None:
                self._gzipped = compress(self.body)
                self._views._resized(self, self.size + len(self._gzipped))
            return self._gzipped, True
        if self._pretty is None:
            self._pretty = indent(self.body)
            self._views._resized(self, self.size + len(self._pretty))
        if not gzip or len(self._pretty) < GZIP_FROM:
            return self._pretty, False
        if self._pretty_gzipped is None:
            self._pretty_gzipped = compress(self._pretty)
            self._views._resized(self, self.size + len(self._pretty_gzipped))
        return self._pretty_gzipped, True

    async def changed_from(self, index: int, timeout_s: float) -> None:
        """Return when the index is greater than `index`, or after `timeout_s` seconds. The view must be fresh."""
        if self.index > index:
            return
        try:
            await self._waiters.wait(index, timeout_s)
        finally:
            if not self._waiters:
                self._views._released(self)
        self.refresh()

    def release(self) -> None:
        """Let all who wait have the answer as it is now."""
        self._waiters.release()

    def close(self) -> None:
        """Forget what is held; the view must not be used again."""
        if self._subscription is not None:
            self._subscription.cancel()
        self._drop()
        self.fresh = False

    def _changed(self) -> None:
        self.fresh = False
        self._subscription = None
        self._drop()
        if self._waiters:
            self._waiters.soon(self._wake)
        if self.on_change is not None:
            self.on_change()

    def _drop(self) -> None:
        self.body = b""
        self._gzipped = self._pretty = self._pretty_gzipped = None
        self._views._resized(self, 0)

    def _wake(self) -> None:
        if not self._waiters:
            return
        try:
            self.refresh()
        except Exception as error:
            self._waiters.fail(error)
        else:
            self._waiters.wake(self.index)


def indent(body: bytes) -> bytes:
    """JSON with four spaces and a newline at its end (surface row C6)."""
    return msgspec.json.format(body, indent=4) + b"\n"


class Views:
    """All views of one agent, bounded: the least used are forgotten."""

    def __init__(self, agent: Agent, *, max_views: int = MAX_VIEWS, max_bytes: int = MAX_BYTES) -> None:
        self.agent = agent
        self.bytes_held = 0
        self._max_views = max_views
        self._max_bytes = max_bytes
        self._views: OrderedDict[tuple[object, ...], View] = OrderedDict()
        #: Called with a view that is forgotten.
        self.on_forget: Callable[[View], None] | None = None

    def get(self, route: Route, request: Request) -> View:
        """The fresh view of a question.

        Raises:
            MeshError: the question is wrong.
        """
        key = view_key(route, request)
        if route.visible is not None or route.asks:
            visibility = request.access.visibility
            if visibility is not None:
                key = (*key, visibility)
        if route.personal:
            key = (*key, request.access.accessor)
        view = self._views.get(key)
        if view is None:
            view = View(self, key, route, _question(request))
            view.refresh()
            self._views[key] = view
            self._bound()
            return view
        view.used = True
        if not view.fresh:
            view.refresh()
        return view

    def once(self, route: Route, request: Request) -> View:
        """A view for this request alone, not kept; to be closed when it has been answered.

        Raises:
            MeshError: the question is wrong.
        """
        view = View(self, (), route, request)
        view.refresh()
        return view

    def clear(self) -> None:
        """Forget everything: what answers depend on beside the store has changed (leadership, ACLs, configuration)."""
        for view in list(self._views.values()):
            self._forget(view)

    def release(self) -> None:
        """End all waits: the server stops."""
        for view in list(self._views.values()):
            view.release()

    def __len__(self) -> int:
        return len(self._views)

    def _resized(self, view: View, size: int) -> None:
        self.bytes_held += size - view.size
        view.size = size

    def _released(self, view: View) -> None:
        if view.key not in self._views:
            view.close()

    def _bound(self) -> None:
        """Second chance: the oldest view goes unless it was used since it was looked at last."""
        views = self._views
        steps = len(views) + 1
        while (len(views) > self._max_views or self.bytes_held > self._max_bytes) and len(views) > 1 and steps:
            steps -= 1
            key, view = next(iter(views.items()))
            if view.awaited or view.used:
                view.used = False
                views.move_to_end(key)
            else:
                self._forget(view)

    def _forget(self, view: View) -> None:
        self._views.pop(view.key, None)
        if self.on_forget is not None:
            self.on_forget(view)
        if not view.awaited:
            view.close()


def view_key(route: Route, request: Request) -> tuple[object, ...]:
    """What tells one question from another, in the spelling it came."""
    query = request.query
    if not query and not request.body:
        return (route.path, route.suffix, request.name)
    asked = tuple((name, *query.all(name)) for name in query.names() if name not in CONTROL)
    near = query.get("near")
    if near == "_ip":
        return (route.path, route.suffix, request.name, asked, request.remote)
    if near == "_agent":
        return (route.path, route.suffix, request.name, asked, request.asker)
    if request.body:
        return (route.path, route.suffix, request.name, asked, request.body)
    return (route.path, route.suffix, request.name, asked)


def _question(request: Request) -> Request:
    """The request without headers and token: what a view may keep."""
    question = Request(
        request.method,
        request.path,
        request.query,
        body=request.body,
        name=request.name,
        remote=request.remote,
        asker=request.asker,
    )
    question.access = request.access
    raw = request.query.raw
    if "token" in raw:
        kept = "&".join(pair for pair in raw.split("&") if not pair.startswith("token="))
        question.query = Query(kept)
    return question

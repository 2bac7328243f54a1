"""All endpoints: the row type, the joined table, and the look-up by path and method.

Each family of endpoints is one module that exports `ROUTES`; this module joins them, refuses duplicates, and finds
the row of a request. Documentation, OPTIONS and 405 answers come from the same rows.

Source: surface rows C1, C2 and section 1. What may change here: `FAMILIES` grows by one line for each family. A row is
added in its family.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from meshagent.agent.acl.guards import Guard
    from meshagent.agent.acl.visible import Visible
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.response import Response, StreamingResponse
    from meshagent.catalog.queries import Result

__all__ = ["FAMILIES", "Encode", "Found", "Handle", "Read", "Route", "Router", "families", "load_routes"]

Read: TypeAlias = "Callable[[Agent, Request], Result[Any]]"
Encode: TypeAlias = "Callable[[Any, Request], bytes | Response]"
Handle: TypeAlias = "Callable[[Agent, Request], Awaitable[Response | StreamingResponse]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint and method.

    `path` ending in "/" is a prefix whose rest is the name; with `suffix` ("/execute") only rests that end so.
    `flags` are the letters of the surface: B blocking, H hash blocking, C consistency modes, Ks/Kb `?cached`,
    F `?filter`, N `?near`, M `?node-meta`. `filter` is the kind of row the filter language is given.

    Access control: a row has `guard`, `visible` or `asks`, or any of them; one without is open to everybody, also to a
    token that does not exist. `acl` says it in words.

    A row has `read` (pure; the server adds blocking, caching, filter and headers, and runs it again after a wake-up)
    or `handle` (everything else), or neither: then the feature is not built yet and the answer is 501. `encode` turns
    the rows of `read`, filtered and sorted, into the body; without it they are JSON as they are.
    """

    row: str
    method: str
    path: str
    summary: str
    acl: str = ""
    example: str = ""
    flags: str = ""
    suffix: str = ""
    filter: str = ""
    #: Whether the answer names its consistency mode (`X-Consul-Effective-Consistency`, surface row C16).
    effective: bool = False
    #: Whether `?index` and `?cached` are answered from the live local view (surface row C20).
    streaming: bool = False
    #: Whether `discovery_max_stale` makes stale the default (surface row C15).
    discovery: bool = False
    #: Whether every request is read anew, because chance or the caller decides about the answer (prepared queries);
    #: a blocking one is not.
    volatile: bool = False
    #: Whether it is always answered from the agent's cache, and says so (surface row C19).
    always_cached: bool = False
    #: Whether a failed read carries meta headers although the answer does not name its consistency.
    meta_on_error: bool = False
    #: "both" refuses `ns` and `partition` (surface row C10), "partition" only that one, "" ignores both.
    tenancy: str = "both"
    #: The option of `limits` that bounds the body: "kv" or "txn"; "" for the server's general limit.
    body_limit: str = ""
    #: Whether the body may be of any size: `handle` gets it as `Request.pieces`.
    upload: bool = False
    #: Whether the answer comes in pieces, however long that takes.
    in_pieces: bool = False
    #: Which metrics count its queries by service: "catalog.service"; "" for none.
    lookup: str = ""
    #: What the token of the request must allow, asked before anything else is done (`acl/guards.py`).
    guard: Guard | None = None
    #: What of the rows of `read` a token may see (`acl/visible.py`).
    visible: Visible | None = None
    #: Whether the answer is about the token that asks: it is never given to another one, whatever that may do.
    personal: bool = False
    #: Whether the handler itself asks `Request.access`, because what is needed stands in the body or in its rows.
    asks: bool = False
    read: Read | None = None
    encode: Encode | None = None
    handle: Handle | None = None

    @property
    def limited(self) -> bool:
        """Whether the request counts against `limits.request_limits`: what reaches the servers' state does."""
        return not self.path.startswith(("/v1/agent/", "/v1/status/", "/v1/operator/"))

    @property
    def open(self) -> bool:
        """Whether it needs no token at all."""
        return self.guard is None and self.visible is None and not self.asks

    @property
    def local(self) -> bool:
        """Whether a client agent answers it itself: what concerns this host, its web page, and gossip."""
        return self.path.startswith(("/v1/agent/", "/v1/event/", "/v1/internal/ui/metrics-proxy/"))

    @property
    def built(self) -> bool:
        """Whether there is something behind the row."""
        return self.read is not None or self.handle is not None


#: The modules that export ROUTES, in the order of the documentation. The families of the agent itself (`agent_*.py`)
#: come first and are found by name, see `families`.
FAMILIES: tuple[str, ...] = (
    "catalog",
    "catalog_write",
    "health",
    "kv",
    "history",
    "session",
    "txn",
    "query",
    "event",
    "coordinate",
    "status",
    "connect_ca",
    "intentions",
    "intentions_legacy",
    "connect_traffic",
    "discovery_chain",
    "config",
    "exported_services",
    "acl",
    "acl_insight",
    "acl_login",
    "acl_methods",
    "acl_policies",
    "acl_roles",
    "acl_rules",
    "acl_tokens",
    "peering",
    "operator",
    "operator_autopilot",
    "operator_keyring",
    "operator_usage",
    "internal",
    "internal_federation",
    "internal_virtual_ips",
    "snapshot",
)

_PREFIX = "meshagent.agent.http."


def families() -> tuple[str, ...]:
    """All families: the agent's own first."""
    package = import_module(_PREFIX.rstrip("."))
    own = sorted(module.name for module in iter_modules(package.__path__) if module.name.startswith("agent_"))
    return (*own, *FAMILIES)


def load_routes(names: Iterable[str] | None = None) -> tuple[Route, ...]:
    """The rows of the families `names`, by default of all.

    Raises:
        ValueError: two rows claim the same method and path.
    """
    rows: list[Route] = []
    seen: dict[tuple[str, str, str], str] = {}
    for family in families() if names is None else names:
        for route in import_module(_PREFIX + family).ROUTES:
            key = (route.method, route.path, route.suffix)
            if key in seen:
                raise ValueError(f"{route.method} {route.path}{route.suffix} is in {seen[key]} and {family}")
            seen[key] = family
            rows.append(route)
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Found:
    """What stands behind a path: its methods (in table order) and the name after the prefix."""

    methods: dict[str, Route]
    name: str


class Router:
    """Finds rows: an exact path first, then the longest prefix, then the suffix of the rest."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._prefix: dict[str, list[tuple[str, dict[str, Route]]]] = {}
        for route in routes:
            if not route.path.endswith("/"):
                self._exact.setdefault(route.path, {})[route.method] = route
                continue
            groups = self._prefix.setdefault(route.path, [])
            for suffix, methods in groups:
                if suffix == route.suffix:
                    methods[route.method] = route
                    break
            else:
                groups.append((route.suffix, {route.method: route}))
        for groups in self._prefix.values():
            groups.sort(key=lambda group: -len(group[0]))

    def find(self, path: str) -> Found | None:
        """The row group of a decoded path, or None."""
        methods = self._exact.get(path)
        if methods is not None:
            return Found(methods, "")
        end = path.rfind("/") + 1
        while end > 1:
            groups = self._prefix.get(path[:end])
            if groups is not None:
                rest = path[end:]
                for suffix, held in groups:
                    if not suffix:
                        return Found(held, rest)
                    if rest.endswith(suffix) and len(rest) > len(suffix):
                        return Found(held, rest[: -len(suffix)])
            end = path.rfind("/", 0, end - 1) + 1
        return None

    def is_prefix(self, path: str) -> bool:
        """Whether `path` (ending in "/") is a prefix of the table."""
        return path in self._prefix
